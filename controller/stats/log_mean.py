"""What e-processes have in common: means of exponentials that never overflow, and where a boundary lies."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence


def log_mean(logs: Sequence[float]) -> float:
    """Ln of the mean of exp(logs). For one to four of them numpy's logaddexp takes half as long again."""
    most = max(logs)
    return most + math.log(sum(math.exp(log - most) for log in logs) / len(logs))


def chance(log_e: float) -> float:
    """The p-value that holds at all looks together: 1/e, at most 1."""
    return math.exp(-max(0.0, log_e))


def fewest(crosses: Callable[[int], bool], most: int) -> int | None:
    """The smallest of 0 … `most` that crosses, where more crosses the sooner; None: not even `most`."""
    found = bisect_left(range(most + 1), True, key=crosses)  # noqa: FBT003 - what is looked for, not a flag
    return found if found <= most else None
