"""The exact conditional group-sequential test (XGS): is the canary's odds ratio above, or below, what is tolerated?

Given a look's totals, the canary's part of the bad units follows Fisher's noncentral hypergeometric law, whatever
the base rate is. The test keeps the law of S, the canary's bad units over all looks, restricted to the paths that
have not been rejected, and at each look cuts off the largest tail that the error budget affords. Each look is a
stratum of its own, so weights may change and the rates of both versions may drift together.

Where the law of S gets so wide that adding a look would cost more than about half a millisecond, neighbouring values
are taken together: S is then counted in steps of 2, 4, 8 … units, each look's part rounded down. That is another
statistic of the same counts, its law is as exact, and the promise is the same; the steps stay below an eighth of a
look's standard deviation, which costs less than a thousandth of the information. Tests on fewer than some thousand bad
units a look never do it.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from controller.stats.counts import Counts
from controller.stats.hypergeometric import NEGLIGIBLE, Array, central_law
from controller.stats.spending import Spending

__all__ = ["LowerTail", "Standing", "UpperTail", "central_law"]

_DEAREST = 2_000_000
"""Products of probabilities that one convolution may cost: about half a millisecond."""


class Standing(NamedTuple):
    """Where one test stands after a look."""

    bad: int
    """S: the canary's bad units over all looks."""
    boundary: int | None
    """The S, nearest to what is normal, that would have decided at this look; None while nothing could."""
    p: float
    """Mass of S and what is farther out at this look, on the paths that were left."""
    budget: float
    """What this look could spend."""
    crossed: bool
    spent: float = 0.0
    """Of the error budget, after this look."""


class UpperTail:
    """Rejects "the odds ratio canary to stable is at most `odds`". State of one test; `add` looks in their order."""

    def __init__(self, odds: float, spending: Spending) -> None:
        self._odds = odds
        self._spending = spending
        self._low = 0
        self._unit = 1
        self._law: Array = np.ones(1)
        self._at = 0
        """S in units, as the law counts it."""
        self._spent = 0.0
        self._bad = 0
        self._crossed = False
        self.standing = Standing(bad=0, boundary=None, p=1.0, budget=0.0, crossed=False)

    def add(self, look: int, counts: Counts, opened: int | None = None) -> Standing:
        """A look without bad units on either side is no test: its budget carries over.

        `opened`: the look from which on the reserve may be spent.
        """
        canary_bad = counts.canary_bad
        bad = canary_bad + counts.stable_bad
        before, self._bad = self._bad, self._bad + canary_bad
        if bad == 0 or self._crossed:
            last = self.standing
            self.standing = Standing(self._bad, last.boundary, last.p, 0.0, self._crossed, self._spent)
            return self.standing
        low, law, lost = central_law(counts.canary_total, counts.stable_total, bad, self._odds)
        if self._unit > 1:
            law = _grouped(law, self._unit)
        while len(law) * len(self._law) > _DEAREST:
            law = self._coarser(law)
        self._spent += lost
        at = self._at
        self._at += (canary_bad - low) // self._unit
        self._law = np.correlate(self._law, law[::-1], "full")  # what np.convolve does, without its checks
        budget = max(0.0, self._spending.until(look, opened) - self._spent)
        rising = self._law[::-1].cumsum()  # mass of the last value, of the last two, …
        size = len(rising)
        beyond = int(rising.searchsorted(budget, side="right"))
        cut, here = size - beyond, self._at - self._low
        # a canary that is much better than stable lies below the part of the law that is kept
        p = max(NEGLIGIBLE, float(rising[size - 1 - max(here, 0)]) if here < size else 0.0)
        boundary = before + low + (self._low + cut - at) * self._unit if beyond else None
        self._crossed = here >= cut
        if not self._crossed:
            if beyond:
                self._spent += float(rising[beyond - 1])
                self._law = self._law[:cut]
            self._drop_negligible()
        self.standing = Standing(self._bad, boundary, p, budget, self._crossed, self._spent)
        return self.standing

    def _coarser(self, law: Array) -> Array:
        """Takes pairs together, in the law of S and in the look's."""
        self._unit *= 2
        if self._low % 2:
            self._law = np.concatenate(([0.0], self._law))
            self._low -= 1
        self._law = _grouped(self._law, 2)
        self._low //= 2
        self._at //= 2
        return _grouped(law, 2)

    def _drop_negligible(self) -> None:
        """A law that is log-concave rises to its mode and falls from there, and so does what is cut off one."""
        law = self._law
        if not len(law):
            return
        if law[-1] > NEGLIGIBLE:
            # then "is negligible" is true up to some place and false from there on, all that a bisection asks
            first, last = int(law.searchsorted(NEGLIGIBLE, side="right")), len(law)
        else:
            kept = (law > NEGLIGIBLE).nonzero()[0]
            if not len(kept):
                return
            first, last = int(kept[0]), int(kept[-1]) + 1
            self._spent += math.fsum(law[last:].tolist())
        if first:
            self._spent += math.fsum(law[:first].tolist())
            self._low += first
        self._law = law[first:last]

    def to_raw(self) -> dict[str, Any]:
        """The state as JSON has it, to the last bit; the method itself is not in it."""
        last = self.standing
        return {
            "low": self._low,
            "unit": self._unit,
            "law": base64.b64encode(self._law.astype("<f8").tobytes()).decode(),
            "at": self._at,
            "spent": self._spent,
            "standing": [last.bad, last.boundary, last.p, last.budget, last.crossed],
        }

    def restore(self, raw: Mapping[str, Any]) -> None:
        """Goes on from `to_raw` of a test with the same odds and spending."""
        self._low, self._unit, self._at = raw["low"], raw["unit"], raw["at"]
        self._law = np.frombuffer(base64.b64decode(raw["law"]), dtype="<f8").astype(np.float64)
        self._spent = raw["spent"]
        bad, boundary, p, budget, crossed = raw["standing"]
        self._bad, self._crossed = bad, crossed
        self.standing = Standing(bad, boundary, p, budget, crossed, self._spent)


class LowerTail:
    """Rejects "the odds ratio canary to stable is `odds` or more".

    It is the upper test on stable's bad units with 1/odds: given the totals, few on the canary are many on stable.
    """

    def __init__(self, odds: float, spending: Spending) -> None:
        self._mirror = UpperTail(1 / odds, spending)
        self._all = 0
        self.standing = self._mirror.standing

    def add(self, look: int, counts: Counts) -> Standing:
        if not self._mirror.standing.crossed:
            self._all += counts.canary_bad + counts.stable_bad
        turned = Counts(counts.stable_bad, counts.stable_total, counts.canary_bad, counts.canary_total)
        seen = self._mirror.add(look, turned)
        boundary = None if seen.boundary is None else self._all - seen.boundary
        bad = self.standing.bad + counts.canary_bad
        self.standing = Standing(bad, boundary, seen.p, seen.budget, seen.crossed, seen.spent)
        return self.standing

    def to_raw(self) -> dict[str, Any]:
        last = self.standing
        return {**self._mirror.to_raw(), "all": self._all, "bad": last.bad, "boundary": last.boundary}

    def restore(self, raw: Mapping[str, Any]) -> None:
        self._mirror.restore(raw)
        self._all = raw["all"]
        seen = self._mirror.standing
        self.standing = Standing(raw["bad"], raw["boundary"], seen.p, seen.budget, seen.crossed, seen.spent)


def _grouped(law: Array, unit: int) -> Array:
    missing = -len(law) % unit
    if missing:
        law = np.concatenate((law, np.zeros(missing)))
    return np.asarray(law.reshape(-1, unit).sum(axis=1))
