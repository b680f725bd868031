"""Fisher's noncentral hypergeometric law: how many of a look's bad units fall on the canary, given the totals.

    P(k) ∝ C(nc,k) C(ns,X−k) ψ^k
    p(k+1)/p(k) = ψ (nc−k)(X−k) / ((k+1)(ns−X+k+1))

Both are from https://en.wikipedia.org/wiki/Fisher%27s_noncentral_hypergeometric_distribution. Everything is built
outwards from the mode, so the largest terms are the most exact ones.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

NEGLIGIBLE = 1e-18
"""Mass that may be left out at each end of one look's law. It is booked as spent, so the promise keeps."""
_SIGMAS = 9.0
_FEW = 64
"""Up to so many probabilities a loop is done sooner than numpy's dozen calls."""
_TINY = 1e-19
"""A probability, in that of the mode, after which a loop ends …"""
_STEEP = 0.5
"""… where the ratio of neighbours is not above this: so what is beyond is less than the last one."""


def central_law(canary_total: int, stable_total: int, bad: int, odds: float) -> tuple[int, Array, float]:
    """The law without its negligible ends: first count kept, probabilities from there on, and a bound on the mass
    that was left out.

    The law is log-concave: beyond an end with probability p, where the ratio of neighbours is r < 1 and falls
    further, lies at most p r/(1−r). The part that is kept grows until that is negligible at both ends.
    """
    low, high = max(0, bad - stable_total), min(canary_total, bad)
    if low == high:
        return low, np.ones(1), 0.0
    mode = _mode(canary_total, stable_total, bad, odds, low, high)
    reach = high - low
    if reach > _FEW:
        reach = int(_SIGMAS * _sigma(canary_total, stable_total, bad, mode)) + 12
    if min(high, mode + reach) - max(low, mode - reach) <= _FEW:
        return _few(canary_total, stable_total - bad, bad, odds, low, mode, high)
    while True:
        first, last = max(low, mode - reach), min(high, mode + reach)
        p, down, up = _many(canary_total, stable_total - bad + 1, bad, odds, first, mode, last)
        below = _beyond(float(p[0]), down) if first > low else 0.0
        above = _beyond(float(p[-1]), up) if last < high else 0.0
        if below <= NEGLIGIBLE and above <= NEGLIGIBLE:
            return first, p, below + above
        reach *= 2


def _many(
    canary_total: int, good: int, bad: int, odds: float, first: int, mode: int, last: int
) -> tuple[Array, float, float]:
    """The probabilities from `first` to `last`, and how they go on at both ends: the ratio outwards.

    `good`: stable's units without the bad ones, and one.
    """
    k = np.arange(first, last, dtype=np.float64)
    ratio = (odds * (canary_total - k)) * (bad - k) / ((k + 1) * (k + good))
    middle = mode - first
    p = np.empty(last - first + 1)
    p[middle] = 1.0
    np.cumprod(ratio[middle:], out=p[middle + 1 :])
    p[:middle] = np.cumprod(1.0 / ratio[:middle][::-1])[::-1]
    p /= p.sum()
    return p, 1.0 / float(ratio[0]), float(ratio[-1])


def _few(
    canary_total: int, good: int, bad: int, odds: float, low: int, mode: int, high: int
) -> tuple[int, Array, float]:
    """As `central_law`: from the mode outwards, as far as there is anything. `good`: stable's units less `bad`."""
    above: list[float] = []
    term, ratio, k = 1.0, 0.0, mode
    while k < high and (term > _TINY or ratio > _STEEP):
        following = k + 1
        ratio = odds * (canary_total - k) * (bad - k) / (following * (following + good))
        term *= ratio
        above.append(term)
        k = following
    lost = term * ratio if k < high else 0.0
    below: list[float] = []
    term, ratio, k = 1.0, 0.0, mode
    while k > low and (term > _TINY or ratio > _STEEP):
        before = k - 1
        ratio = k * (k + good) / (odds * (canary_total - before) * (bad - before))
        term *= ratio
        below.append(term)
        k = before
    lost += term * ratio if k > low else 0.0
    below.reverse()
    p = np.array([*below, 1.0, *above])
    total = math.fsum(below) + 1.0 + math.fsum(above)
    p /= total
    return k, p, lost / (1 - _STEEP) / total


def _beyond(edge: float, ratio: float) -> float:
    return float(edge * ratio / (1 - ratio)) if ratio < 1 else 1.0


def _mode(canary_total: int, stable_total: int, bad: int, odds: float, low: int, high: int) -> int:
    """Largest k with p(k) ≥ p(k−1): the smaller root of (ψ−1)k² − (…)k + … = 0, as Wikipedia's page has it."""
    a = odds - 1
    b = (canary_total + bad + 2) * odds + stable_total - bad
    c = (canary_total + 1.0) * (bad + 1) * odds
    root = 2 * c / (b + math.sqrt(max(0.0, b * b - 4 * a * c)))
    return min(high, max(low, math.floor(root)))


def _sigma(canary_total: int, stable_total: int, bad: int, mode: int) -> float:
    """Width of the peak, from the curvature of log p at the mode: 1/σ² = Σ 1/cell over the four cells."""
    cells = (mode, bad - mode, canary_total - mode, stable_total - bad + mode)
    return 1 / math.sqrt(sum(1 / (cell + 0.5) for cell in cells))
