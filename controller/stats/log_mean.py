"""What e-processes have in common: means of exponentials that never overflow, and where a boundary lies."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence


def log_mean(logs: Sequence[float]) -> float:
    """Ln of the mean of exp(logs)."""
    most = max(logs)
    return most + math.log(sum(math.exp(log - most) for log in logs) / len(logs))


def chance(log_e: float) -> float:
    """The p-value that holds at all looks together: 1/e, at most 1."""
    return math.exp(-max(0.0, log_e))


def fewest(crosses: Callable[[int], bool], most: int) -> int | None:
    """The smallest of 0 … `most` that crosses, where more crosses the sooner; None: not even `most`."""
    if not crosses(most):
        return None
    low, high = -1, most
    while high - low > 1:
        middle = (low + high) // 2
        if crosses(middle):
            high = middle
        else:
            low = middle
    return high
