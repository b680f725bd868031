"""Before and after a switch: is the new version, with all of the work, worse than the old one was a moment ago?

Nothing is randomized: the hour may have changed with the version. So no chance of a false rollback is promised here,
and the margin is wide. The edge is fixed at the switch,

    edge = ratio · worst + slack      worst: rate of bad units in the worst fifth of the looks before the switch

and not at their mean, so that an ordinary bad minute convicts nobody. Then each look pays

    e = mean over t of (t/edge)^bad · exp(−units (t − edge)),      t in edge · {1.5, 2, 4, 8}

which in the mean is at most 1 for a version within the edge, as for a limit (`limits.py`). What looks have paid is
added up in ln, never below 0, so that hours within the edge save up nothing. A rollback needs 1/α, and two looks in a
row that have both paid: one bad look is not enough, however bad it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from controller.stats.before import Before
from controller.stats.counts import Counts
from controller.stats.log_mean import chance, fewest, log_mean
from controller.stats.xgs import Standing

_TIMES = (1.5, 2.0, 4.0, 8.0)
"""Rates that are looked for, in edges."""


class BeforeAfterTest:
    """State of one test; `add` looks after the switch in their order."""

    def __init__(self, before: Before, ratio: float, slack: float, alpha: float, min_bad: int = 1) -> None:
        self._edge = before.edge(ratio, slack)
        self._needed = math.log(1 / alpha)
        self._alpha = alpha
        self._min_bad = min_bad
        self._paid = 0.0
        self._in_a_row = False
        """The look before paid, too."""
        self.standing = Standing(bad=0, boundary=None, p=1.0, budget=alpha, crossed=False)

    def add(self, look: int, counts: Counts) -> Standing:
        """`look` is its number, which does not matter here."""
        del look
        last, bad, units, edge = self.standing, counts.canary_bad, counts.canary_total, self._edge
        if last.crossed or not units or edge is None:
            self.standing = last._replace(bad=last.bad + bad)
            return self.standing
        turns = fewest(lambda many: self._crosses(many, _pays(many, units, edge)), units)
        pays = _pays(bad, units, edge)
        crossed = self._crosses(bad, pays)
        self._paid = max(0.0, self._paid + pays)
        self._in_a_row = pays > 0
        self.standing = Standing(
            last.bad + bad,
            None if turns is None else last.bad + turns,
            chance(self._paid),
            self._alpha,
            crossed,
        )
        return self.standing

    def _crosses(self, bad: int, pays: float) -> bool:
        enough = self.standing.bad + bad >= self._min_bad
        return enough and self._in_a_row and pays > 0 and self._paid + pays >= self._needed

    def to_raw(self) -> dict[str, Any]:
        last = self.standing
        return {
            "paid": self._paid,
            "inARow": self._in_a_row,
            "standing": [last.bad, last.boundary, last.p, last.crossed],
        }

    def restore(self, raw: Mapping[str, Any]) -> None:
        """Goes on from `to_raw` of a test with the same edge."""
        self._paid, self._in_a_row = raw["paid"], raw["inARow"]
        bad, boundary, p, crossed = raw["standing"]
        self.standing = Standing(bad, boundary, p, self._alpha, crossed)


def _pays(bad: int, units: int, edge: float) -> float:
    """Of one look, in ln."""
    return log_mean([bad * math.log(times) - units * edge * (times - 1) for times in _TIMES])
