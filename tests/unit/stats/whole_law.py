"""The whole of Fisher's noncentral hypergeometric law: what the part that is kept is compared with."""

import numpy as np

from controller.stats.hypergeometric import Array


def fisher_law(canary_total: int, stable_total: int, bad: int, odds: float) -> tuple[int, Array]:
    """The whole law: the smallest possible count, and the probabilities from there on, shape (support,)."""
    low, high = max(0, bad - stable_total), min(canary_total, bad)
    if low == high:
        return low, np.ones(1)
    k = np.arange(low, high, dtype=np.float64)
    log_ratio = np.log(odds * (canary_total - k) * (bad - k) / ((k + 1) * (stable_total - bad + k + 1)))
    mode = int(np.searchsorted(-log_ratio, 0.0))
    log_p = np.concatenate((-np.cumsum(log_ratio[:mode][::-1])[::-1], [0.0], np.cumsum(log_ratio[mode:])))
    p = np.exp(log_p)
    return low, p / p.sum()
