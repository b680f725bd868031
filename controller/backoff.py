"""How long to wait before the next try: longer each time, with jitter so that a thousand do not come at once."""

from __future__ import annotations

import random

_MOST_FAILURES = 16
"""Beyond it every delay has reached its longest, and 2**n needs no more digits."""


def delay_s(failures: int, *, first_s: float = 0.1, longest_s: float = 60.0) -> float:
    """Seconds after the failure number `failures`, counted from 0; within a quarter of the exact doubling."""
    exact: float = min(longest_s, first_s * 2 ** min(failures, _MOST_FAILURES))
    return spread_s(exact)


def spread_s(seconds: float) -> float:
    """Within a quarter of it: what many do at the same interval does not stay in step."""
    return seconds * random.uniform(0.75, 1.25)  # noqa: S311 - jitter


def not_before_s(seconds: float) -> float:
    """For a server that asked to be left alone: never earlier, and not everybody at once afterwards."""
    return seconds * random.uniform(1.0, 1.25)  # noqa: S311 - jitter
