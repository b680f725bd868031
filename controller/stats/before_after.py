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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.stats.counts import Counts
from controller.stats.log_mean import chance, fewest, log_mean
from controller.stats.xgs import Standing

RATIO, SLACK = 2.0, 0.005
"""The margin where none is said."""
LOOKS = 20
"""Before the switch, of the same length as those after it."""
_LEAST_LOOKS = 5
"""With units: of fewer there is no worst fifth."""
_WORST = 5
_TIMES = (1.5, 2.0, 4.0, 8.0)
"""Rates that are looked for, in edges."""
_MOST_RATE = 0.999


@dataclass(frozen=True)
class Before:
    """The old version's last looks before the switch: bad and all units, of all of them and of their worst fifth."""

    bad: int = 0
    total: int = 0
    worst_bad: int = 0
    worst_total: int = 0

    @classmethod
    def of(cls, looks: Sequence[tuple[int, int]]) -> Before:
        """`looks`: bad and all units of each. Where too few have units nothing can be compared with them."""
        counted = sorted((look for look in looks if look[1] > 0), key=lambda look: look[0] / look[1], reverse=True)
        if len(counted) < _LEAST_LOOKS:
            return cls()
        worst = counted[: math.ceil(len(counted) / _WORST)]
        return cls(
            sum(bad for bad, _ in counted),
            sum(total for _, total in counted),
            sum(bad for bad, _ in worst),
            sum(total for _, total in worst),
        )

    def edge(self, ratio: float, slack: float) -> float | None:
        """The rate, 0 to 1, that is still tolerated; None where nothing is known."""
        if not self.worst_total:
            return None
        # half a unit more, so that a worst fifth without bad units is no promise of none
        return min(_MOST_RATE, ratio * (self.worst_bad + 0.5) / (self.worst_total + 1) + slack)


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
            self.standing = last._replace(bad=last.bad + bad, boundary=last.boundary)
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
