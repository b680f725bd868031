"""The standing control: stable against itself. Where even its own halves differ, a difference means nothing.

The tests take units for independent. Where they are not (one slow pod, one client that fails a hundred times) counts
scatter more than the law has it, and good versions would be convicted more often than was promised. So in each look
stable's pods are split in two by their names, and their counts are held to the same law with an odds ratio of 1. Given
the totals, each half's part of the bad units lies in the outer 5 % of that law in at most 5 % of the looks. When it
does so much more often, the metric only advises: it convicts nobody and proves nothing, and that is said.
"""

from __future__ import annotations

import math
from collections import deque

from controller.stats.counts import Counts
from controller.stats.hypergeometric import central_law

LOOKS = 200
"""So many looks are remembered, also those of the attempts before."""
_OUTER = 0.05
_CHANCE = 1e-4
"""Of calling it scattered by chance, at any one look. What it costs then is a decision that a person has to take."""


class Control:
    """`add` looks in their order; `before` is the `bits` of the attempt before."""

    def __init__(self, before: str = "") -> None:
        self._alarms = deque((letter == "1" for letter in before), LOOKS)

    @property
    def bits(self) -> str:
        """A letter for each look that could tell, the oldest first: 1 where the halves differed."""
        return "".join("1" if alarm else "0" for alarm in self._alarms)

    @property
    def overdispersed(self) -> bool:
        """The halves differ more often than chance has it."""
        looks, fired = len(self._alarms), sum(self._alarms)
        return fired > 0 and _at_least(fired, looks) <= _CHANCE

    def add(self, halves: Counts) -> None:
        """`halves`: bad and all units of one half, then of the other. A look whose worst outcome is likely tells
        nothing, and is passed by.
        """
        bad = halves.canary_bad + halves.stable_bad
        if bad == 0 or not halves.canary_total or not halves.stable_total:
            return
        first, law, _ = central_law(halves.canary_total, halves.stable_total, bad, 1.0)
        tail = _OUTER / 2
        if min(law[0], law[-1]) > tail:
            return
        at = halves.canary_bad - first
        above = float(law[max(0, at) :].sum())
        below = float(law[: max(0, at + 1)].sum())
        self._alarms.append(min(above, below) <= tail)


def _at_least(fired: int, looks: int) -> float:
    """P(at least `fired` of `looks`), each with a chance of 5 %."""
    fewer = (math.comb(looks, k) * _OUTER**k * (1 - _OUTER) ** (looks - k) for k in range(fired))
    return max(0.0, 1.0 - math.fsum(fewer))
