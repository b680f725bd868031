"""What was not excluded: the upper confidence bound of the ratio canary to stable."""

from __future__ import annotations

from collections.abc import Sequence

from controller.stats.counts import Counts
from controller.stats.spending import Spending
from controller.stats.xgs import LowerTail

MOST = 100.0
"""Beyond this nothing is said."""
_STEP = 1.02
"""How exact the bound is."""


def upper_bound(rows: Sequence[tuple[int, Counts]], spending: Spending, *, above: float = 1 / MOST) -> float | None:
    """The smallest odds ratio that the lower test rejects, rounded up by at most 2 %; None: not even `MOST`.

    A confidence bound is a test turned round: what is not rejected is what may be true, with the confidence
    1 − `spending.alpha`, at all looks together. `rows` are looks and their counts; up to `above` nothing is
    rejected, as far as is known. Takes some nine tests over all looks.
    """
    if not _rejects(MOST, rows, spending):
        return None
    low, high = above, MOST
    while high / low > _STEP:
        middle = float((low * high) ** 0.5)
        if _rejects(middle, rows, spending):
            high = middle
        else:
            low = middle
    return high


def _rejects(odds: float, rows: Sequence[tuple[int, Counts]], spending: Spending) -> bool:
    test = LowerTail(odds, spending)
    return any(test.add(look, counts).crossed for look, counts in rows)
