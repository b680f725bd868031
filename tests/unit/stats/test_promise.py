"""The promise in numbers: simulated releases of good and of bad versions, seeds fixed."""

import math

import numpy as np

from controller.stats.counts import Counts
from controller.stats.spending import Spending
from controller.stats.xgs import UpperTail


def simulate(rng, *, looks: int, units: int, share: float, stable: float, canary: float, odds: float) -> int | None:
    """The look that convicted, or None. Alpha is 5 %, so that 800 runs can tell."""
    test = UpperTail(odds, Spending(0.05))
    totals = rng.poisson(units, looks)
    canary_units = rng.binomial(totals, share)
    canary_bad = rng.binomial(canary_units, canary)
    stable_bad = rng.binomial(totals - canary_units, stable)
    for number in range(looks):
        row = Counts(
            int(canary_bad[number]),
            int(canary_units[number]),
            int(stable_bad[number]),
            int(totals[number] - canary_units[number]),
        )
        if test.add(number + 1, row).crossed:
            return number + 1
    return None


def upper_limit(found: int, runs: int) -> float:
    """Wilson's, one-sided 99 %."""
    z, p = 2.326, found / runs
    spread = z * math.sqrt(p * (1 - p) / runs + z * z / (4 * runs * runs))
    return (p + z * z / (2 * runs) + spread) / (1 + z * z / runs)


def test_good_versions_are_convicted_at_most_as_often_as_promised():
    rng = np.random.default_rng(20260101)
    cells = [(0.05, 0.01), (0.5, 0.01), (0.2, 0.2), (0.05, 0.001)]
    runs = 200
    found = [
        sum(
            simulate(rng, looks=20, units=500, share=share, stable=base, canary=base, odds=1.0) is not None
            for _ in range(runs)
        )
        for share, base in cells
    ]
    assert sum(found) > 0, "a test that never convicts keeps every promise"
    assert upper_limit(sum(found), runs * len(cells)) <= 0.05
    assert max(found) / runs <= 0.05


def test_rates_that_drift_together_convict_nobody():
    rng = np.random.default_rng(7)
    found = 0
    for _ in range(200):
        test = UpperTail(1.0, Spending(0.05))
        for look in range(30):
            share, rate = (0.05, 0.2, 0.5)[look // 10], 0.003 + 0.017 * look / 30
            canary = int(500 * share)
            row = Counts(int(rng.binomial(canary, rate)), canary, int(rng.binomial(500 - canary, rate)), 500 - canary)
            if test.add(look + 1, row).crossed:
                found += 1
                break
    assert found / 200 <= 0.05


def test_a_version_that_fails_every_fifth_time_is_found_in_two_looks():
    rng = np.random.default_rng(1)
    looks = [simulate(rng, looks=5, units=500, share=0.05, stable=0.001, canary=0.2, odds=1.1) for _ in range(200)]
    assert None not in looks
    assert max(look for look in looks if look) <= 2


def test_twice_the_errors_at_half_the_traffic_are_found_in_reasonable_time():
    rng = np.random.default_rng(2)
    looks = [simulate(rng, looks=60, units=500, share=0.5, stable=0.01, canary=0.02, odds=1.0) for _ in range(200)]
    found = sorted(look for look in looks if look)
    assert len(found) >= 198
    assert found[len(found) // 2] <= 20
