"""A canary whose fresh baseline is gone: what it does is more than stable's rate and newness together can explain.

Stable's pods are warm, and a good version's new pods may do worse than they. So the canary is not held to stable's rate
alone: a unit on new pods is bad for a cause that stable has as well, or because the pods are new. Of the first, stable
says in the same time what there is at most; of the second, the baseline's first looks, in which its pods were at their
newest, and once more, because the canary's pods may have been replaced meanwhile. Each of the two bounds fails with a
chance of `CHANCE`, and so does the test that takes them for true.

The bounds are Chernoff's: P(X ≥ k) ≤ exp(−n·KL(k/n ‖ p)) for k > np, which also holds where each unit has a chance of
its own (Hoeffding 1956, 1963).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from controller.stats.all_bad import CHANCE, LEAST_UNITS, Disaster
from controller.stats.counts import Counts, Look

_EXACT = 1e-9


def first_looks(looks: Sequence[Look], seconds: float) -> list[Look]:
    """Those in which a baseline had work, from the first one on, for so long and no longer.

    What newness does fades, so no later time of that length, or a greater, has had more of it.
    """
    found: list[Look] = []
    for look in looks:
        if look.baseline:
            seconds -= look.end - look.start
            if seconds < 0:
                break
            found.append(look)
    return found


def fresh_units(looks: Sequence[Look], row: str) -> tuple[int, int]:
    """The baseline's bad units, and all of them."""
    rows = [look.rows[row] for look in looks if row in look.rows]
    return sum(one.stable_bad for one in rows), sum(one.stable_total for one in rows)


def disaster_alone(metric: str, counts: Counts, fresh: tuple[int, int], odds: float) -> Disaster | None:
    """`counts`: the canary's and stable's in the same time without a baseline; `fresh`: `fresh_units`. `odds` is the
    ratio that is tolerated. None where it can be explained, and where there is too little to say so.
    """
    bad, units = counts.canary_bad, counts.canary_total
    if units < LEAST_UNITS or not counts.stable_total or not fresh[1]:
        return None
    of_stable, of_newness = _at_most(counts.stable_bad, counts.stable_total), _at_most(*fresh)
    good = (1 - of_stable) * (1 - of_newness) ** 2
    tolerated = odds * (1 - good) / (good + odds * (1 - good))
    p = _tail(bad, units, tolerated) + 2 * CHANCE
    return Disaster(metric, counts, p, fresh=fresh) if p <= 3 * CHANCE else None


def _tail(bad: int, units: int, rate: float) -> float:
    """At most the chance of so many bad units, or more."""
    share = bad / units
    return math.exp(-units * _divergence(share, rate)) if share > rate else 1.0


def _at_most(bad: int, units: int) -> float:
    """A rate that is not exceeded, up to `CHANCE`."""
    share, needed = bad / units, -math.log(CHANCE) / units
    low, high = share, 1.0
    while high - low > _EXACT:
        middle = (low + high) / 2
        low, high = (low, middle) if _divergence(share, middle) >= needed else (middle, high)
    return high


def _divergence(share: float, rate: float) -> float:
    """KL(share ‖ rate) of two Bernoulli rates, in nats."""
    if rate >= 1.0:
        return math.inf if share < 1.0 else 0.0
    of_bad = share * math.log(share / rate) if share > 0 else 0.0
    return of_bad + ((1 - share) * math.log((1 - share) / (1 - rate)) if share < 1 else 0.0)
