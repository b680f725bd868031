"""Margins that are not a ratio alone: is the canary's rate above, or proven below, `ratio` times stable's plus `slack`?

There is no exact conditional law for such a null, so this is an e-process. Before each look an alternative is chosen
from what stable has shown until then: its rate `ts`, and canary rates `tc` at several lifts above the edge. The
alternative is projected on the edge a = ratio·b + slack of the null (the point nearest to it in Kullback-Leibler
divergence, with the look's units as weights), and

    log e = xc ln(tc/a) + xs ln(ts/b) − nc (tc − a) − ns (ts − b)

has for every rate of the null an expectation of e of at most 1: the null is convex, and a Bernoulli unit gives no more
than a Poisson count of its rate. Products over looks, averaged over the lifts, reach 1/α with a chance of at most α
(Ville's inequality). b is the positive root of

    (nc ratio² + ns ratio) b² + (nc ratio (slack − tc) + ns (slack − ratio ts)) b − ns ts slack = 0
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from controller.stats.counts import Counts
from controller.stats.e_process import Crosses, EProcess
from controller.stats.log_mean import fewest
from controller.stats.xgs import Standing

_LIFTS = (1.5, 2.0, 4.0, 8.0)
_MOST_RATE = 0.999


def nearest(ratio: float, slack: float, rates: tuple[float, float], units: tuple[float, float]) -> float:
    """Stable's rate b at the point (ratio·b + slack, b) that is nearest to `rates` of canary and stable."""
    (tc, ts), (nc, ns) = rates, units
    square = nc * ratio**2 + ns * ratio
    linear = nc * ratio * (slack - tc) + ns * (slack - ratio * ts)
    return (-linear + math.sqrt(linear**2 + 4 * square * ns * ts * slack)) / (2 * square)


class _EdgeProcess(EProcess):
    """State of one test; `add` looks in their order. A subclass says which canary rates are the alternative."""

    def __init__(self, ratio: float, slack: float, alpha: float, tests: int) -> None:
        super().__init__(alpha, tests)
        self._ratio = ratio
        self._slack = slack
        self._seen = (0, 0)
        """Bad and all units of stable so far."""

    def add(self, look: int, counts: Counts) -> Standing:
        """`look` is its number, which does not matter here: the bound holds at all looks together."""
        del look
        before = self._seen
        self._seen = (before[0] + counts.stable_bad, before[1] + counts.stable_total)
        if self.standing.crossed or not before[1] or not counts.canary_total:
            return self._pass(counts.canary_bad)
        stable = (before[0] + 0.5) / (before[1] + 1)
        pays = [self._gain(canary, stable, counts) for canary in self._alternatives(stable)]
        return self._take(counts.canary_bad, counts.canary_total, pays, self._boundary)

    def _alternatives(self, stable: float) -> list[float]:
        raise NotImplementedError

    def _is_normal(self, canary: float, edge: float) -> bool:
        """Whether such a canary belongs to the null."""
        raise NotImplementedError

    def _boundary(self, crosses: Crosses, most: int) -> int | None:
        raise NotImplementedError

    def _gain(self, tc: float, ts: float, counts: Counts) -> tuple[float, float]:
        """Of each bad canary unit, and of all else in the look."""
        if self._is_normal(tc, self._ratio * ts + self._slack):
            return 0.0, 0.0  # not beyond the edge, so nothing can be concluded from it
        nc, ns = counts.canary_total, counts.stable_total
        b = nearest(self._ratio, self._slack, (tc, ts), (nc, ns))
        a = self._ratio * b + self._slack
        stables = counts.stable_bad * math.log(ts / b) if b else 0.0
        return math.log(tc / a), stables - nc * (tc - a) - ns * (ts - b)

    def to_raw(self) -> dict[str, Any]:
        return {**super().to_raw(), "stable": list(self._seen)}

    def restore(self, raw: Mapping[str, Any]) -> None:
        super().restore(raw)
        self._seen = (raw["stable"][0], raw["stable"][1])


class MarginTest(_EdgeProcess):
    """Rejects "the canary's rate is at most `ratio` times stable's plus `slack`" (0 to 1)."""

    def __init__(self, ratio: float, slack: float, alpha: float) -> None:
        super().__init__(ratio, slack, alpha, len(_LIFTS))

    def _alternatives(self, stable: float) -> list[float]:
        edge = self._ratio * stable + self._slack
        return [min(_MOST_RATE, edge * lift) for lift in _LIFTS]

    def _is_normal(self, canary: float, edge: float) -> bool:
        return canary <= edge

    def _boundary(self, crosses: Crosses, most: int) -> int | None:
        return fewest(crosses, most)


class MarginProof(_EdgeProcess):
    """Rejects "the canary's rate is `ratio` times stable's plus `slack`, or more"; the alternative is that both are
    alike.
    """

    def __init__(self, ratio: float, slack: float, alpha: float) -> None:
        super().__init__(ratio, slack, alpha, 1)

    def _alternatives(self, stable: float) -> list[float]:
        return [stable]

    def _is_normal(self, canary: float, edge: float) -> bool:
        return canary >= edge

    def _boundary(self, crosses: Crosses, most: int) -> int | None:
        """The most bad units that would still prove it."""
        short = fewest(lambda good: crosses(most - good), most)
        return None if short is None else most - short
