"""The exact conditional group-sequential test (XGS), upper tail: is the canary's odds ratio above what is tolerated?

Given a look's totals, the canary's part of the bad units follows Fisher's noncentral hypergeometric law, whatever
the base rate is. The test keeps the law of S, the canary's bad units over all looks, restricted to the paths that
have not been rejected, and at each look cuts off the largest upper tail that the error budget affords. Each look is
a stratum of its own, so weights may change and the rates of both versions may drift together.

Law: https://en.wikipedia.org/wiki/Fisher%27s_noncentral_hypergeometric_distribution
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.core.looks import Counts

Array = NDArray[np.float64]

_HALF_SPENT_LOOKS = 20
_NEGLIGIBLE = 1e-18
"""Mass that is dropped at the ends of a law; what falls off the upper end is booked as spent."""


def fisher_law(canary_total: int, stable_total: int, bad: int, odds: float) -> tuple[int, Array]:
    """Law of the canary's part of `bad` units: the smallest possible count, and the probabilities from there on.

    Built outwards from the mode by p(k+1)/p(k) = ψ (nc−k)(X−k) / ((k+1)(ns−X+k+1)), so the largest terms are the
    most exact ones.
    """
    low, high = max(0, bad - stable_total), min(canary_total, bad)
    if low == high:
        return low, np.ones(1)
    k = np.arange(low, high, dtype=np.float64)
    log_ratio = np.log(odds * (canary_total - k) * (bad - k) / ((k + 1) * (stable_total - bad + k + 1)))
    mode = int(np.searchsorted(-log_ratio, 0.0))
    log_p = np.concatenate((-np.cumsum(log_ratio[:mode][::-1])[::-1], [0.0], np.cumsum(log_ratio[mode:])))
    p = np.exp(log_p)
    return low, p / p.sum()


def open_budget(alpha: float, look: int) -> float:
    """A(t) = α t/(t+20), the spending for a release whose number of looks is not known beforehand."""
    return alpha * look / (look + _HALF_SPENT_LOOKS)


@dataclass(frozen=True)
class Standing:
    """Where one test stands after a look."""

    bad: int
    """S: the canary's bad units over all looks."""
    boundary: int | None
    """The smallest S that would have convicted at this look; None while nothing could."""
    p: float
    """Mass of {S or more} at this look, on the paths that were left."""
    budget: float
    """What this look could spend."""
    crossed: bool


class UpperTail:
    """State of one test. `add` looks in their order."""

    def __init__(self, odds: float, alpha: float) -> None:
        self._odds = odds
        self._alpha = alpha
        self._low = 0
        self._law: Array = np.ones(1)
        self._spent = 0.0
        self._bad = 0
        self._crossed = False
        self.standing = Standing(bad=0, boundary=None, p=1.0, budget=0.0, crossed=False)

    def add(self, look: int, counts: Counts) -> Standing:
        """A look without bad units on either side is no test: its budget carries over."""
        bad = counts.canary_bad + counts.stable_bad
        if bad == 0 or self._crossed:
            self._bad += counts.canary_bad
            self.standing = Standing(self._bad, self.standing.boundary, self.standing.p, 0.0, self._crossed)
            return self.standing
        low, law = fisher_law(counts.canary_total, counts.stable_total, bad, self._odds)
        # half of the requests can be "bad" (slower than the median): only a few sigma of such a law are not 0
        first, last = _kept(law)
        self._spent += float(law[last:].sum())
        self._low += low + first
        self._law = np.convolve(self._law, law[first:last])
        self._bad += counts.canary_bad
        budget = max(0.0, open_budget(self._alpha, look) - self._spent)
        tails = np.cumsum(self._law[::-1])[::-1]
        cut = int(np.searchsorted(-tails, -budget))
        boundary = self._low + cut if cut < len(tails) else None
        at = self._bad - self._low
        # a canary that is much better than stable lies below the part of the law that is kept
        p = max(_NEGLIGIBLE, float(tails[max(at, 0)]) if at < len(tails) else 0.0)
        self._crossed = at >= cut
        if not self._crossed:
            self._spent += float(tails[cut]) if cut < len(tails) else 0.0
            self._law = self._law[:cut]
            self._drop_negligible()
        self.standing = Standing(self._bad, boundary, p, budget, self._crossed)
        return self.standing

    def _drop_negligible(self) -> None:
        first, last = _kept(self._law)
        self._spent += float(self._law[last:].sum())
        self._law = self._law[first:last]
        self._low += first


def _kept(law: Array) -> tuple[int, int]:
    kept = np.flatnonzero(law > _NEGLIGIBLE)
    return (int(kept[0]), int(kept[-1]) + 1) if len(kept) else (0, len(law))
