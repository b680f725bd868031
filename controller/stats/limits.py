"""The limit of a rate, whatever stable's is: an e-process on the canary alone, and a watch on stable for common causes.

For a unit that is bad with a chance of at most c, e = (t/c)^bad · exp(−units (t−c)) has an expectation of at most 1,
whatever t above c is: a Bernoulli unit gives (1 + p(t/c − 1)) exp(−(t−c)) ≤ exp((p/c − 1)(t−c)). So the product over
looks, averaged over several t, is a test martingale, and by Ville's inequality it ever reaches 1/α with a chance of at
most α, however many looks there are and whenever one stops looking.

A look in which stable itself is above the limit says nothing about the canary and is left out of its product. That is
decided by stable's counts alone, which given both rates are independent of the canary's, so the bound stays.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from controller.stats.counts import Counts
from controller.stats.e_process import EProcess
from controller.stats.log_mean import fewest
from controller.stats.xgs import Standing

_TIMES = (1.5, 2.0, 4.0, 8.0)
"""Rates that are looked for, in limits."""
_COMMON_TIMES = 2.0
_COMMON_CAP = 2.0
"""In thresholds: how far above its alarm the watch on stable can rise, so that it ends soon after its cause."""


class LimitTest(EProcess):
    """Rejects "the canary's rate of bad units is at most `most`" (0 to 1). `add` looks in their order."""

    def __init__(self, most: float, alpha: float) -> None:
        super().__init__(alpha, len(_TIMES))
        self._most = most
        self._stable = 0.0

    @property
    def common_cause(self) -> bool:
        """Stable breaks the limit too: what is wrong is not the canary's doing.

        Nobody is convicted by it, so it is a plain one-sided CUSUM with a cap, and not another test with a promise.
        """
        return self._stable >= self._needed

    def add(self, look: int, counts: Counts) -> Standing:
        """`look` is its number, which does not matter here: the bound holds at all looks together."""
        del look
        gain = counts.stable_bad * math.log(_COMMON_TIMES) - counts.stable_total * self._most * (_COMMON_TIMES - 1)
        self._stable = min(max(0.0, self._stable + gain), _COMMON_CAP * self._needed)
        units = counts.canary_total
        if self.standing.crossed or units == 0 or counts.stable_bad > self._most * counts.stable_total:
            return self._pass(counts.canary_bad)
        pays = [(math.log(times), -units * (self._most * (times - 1))) for times in _TIMES]
        return self._take(counts.canary_bad, units, pays, fewest)

    def to_raw(self) -> dict[str, Any]:
        return {**super().to_raw(), "stable": self._stable}

    def restore(self, raw: Mapping[str, Any]) -> None:
        super().restore(raw)
        self._stable = raw["stable"]
