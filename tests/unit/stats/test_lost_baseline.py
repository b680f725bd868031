"""A canary whose baseline is gone: seen where it is a disaster, and blamed for nothing that a good version may do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom  # type: ignore[attr-defined]

from controller.stats.all_bad import CHANCE
from controller.stats.counts import Counts, Look
from controller.stats.lost_baseline import _at_most, _tail, disaster_alone, first_looks, fresh_units

SECONDS = 5.0


def look(number, canary_bad, baseline_bad, units, *, baseline: float | None = 10.0):
    start = SECONDS * (number - 1)
    rows = {"errors": Counts(canary_bad, units, baseline_bad, units)}
    return Look(number, start, start + SECONDS, 10.0, rows, baseline=baseline)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.integers(1, 10**6), st.floats(0, 1), st.floats(1e-6, 0.999))
def test_both_bounds_are_on_the_safe_side_of_the_exact_law(units, share, rate):
    bad = round(share * units)
    assert _tail(bad, units, rate) >= binom.sf(bad - 1, units, rate) * (1 - 1e-9)
    exact = 1.0 if bad == units else beta.isf(CHANCE, bad + 1, units - bad)
    assert _at_most(bad, units) >= exact - 1e-9


@pytest.mark.parametrize(
    ("counts", "fresh"),
    [
        (Counts(60, 60, 0, 2000), (0, 500)),
        (Counts(120, 200, 3, 20_000), (2, 1000)),
        (Counts(10**6, 10**6, 0, 10**9), (0, 10**6)),
        (Counts(900, 1000, 100, 9000), (100, 1000)),
    ],
)
def test_a_disaster_is_seen_with_neither_errors_nor_a_baseline_beside_it(counts, fresh):
    found = disaster_alone("errors", counts, fresh, 1.1)
    assert found is not None
    assert (
        f"{counts.canary_bad} of {counts.canary_total} bad on the canary since its baseline is gone" in found.sentence()
    )


@pytest.mark.parametrize(
    ("counts", "fresh"),
    [
        (Counts(4, 4, 0, 2000), (0, 10_000)),
        (Counts(60, 60, 1950, 2000), (0, 500)),
        (Counts(60, 60, 0, 2000), (480, 500)),
        (Counts(60, 60, 1000, 2000), (250, 500)),
        (Counts(60, 60, 0, 0), (0, 500)),
        (Counts(60, 60, 0, 2000), (0, 0)),
        (Counts(60, 60, 0, 2000), (0, 5)),
        (Counts(3, 1000, 0, 20_000), (2, 1000)),
    ],
    ids=["few", "stable too", "new pods too", "together", "no stable", "no baseline", "few of it", "usual"],
)
def test_what_may_have_another_cause_is_no_disaster(counts, fresh):
    assert disaster_alone("errors", counts, fresh, 1.1) is None


def test_newness_is_that_of_the_first_looks_and_not_of_pods_that_have_run_for_long():
    looks = [look(1, 0, 40, 50), look(2, 0, 5, 50), look(3, 0, 0, 50), look(4, 0, 0, 50, baseline=0.0)]
    assert [one.number for one in first_looks(looks, 4.9)] == []
    assert [one.number for one in first_looks(looks, 7.0)] == [1]
    assert [one.number for one in first_looks(looks, 10.0)] == [1, 2]
    assert [one.number for one in first_looks(looks, 600.0)] == [1, 2, 3]
    assert fresh_units(first_looks(looks, 600.0), "errors") == (45, 150)
    assert fresh_units(looks, "latency") == (0, 0)
    assert first_looks([look(1, 0, 0, 50, baseline=None)], 60.0) == []


def newness(age, worst, fades_s):
    return worst * np.exp(-age / fades_s)


@pytest.mark.parametrize("worst", [0.05, 0.5, 0.95])
@pytest.mark.parametrize("fades_s", [3.0, 30.0])
def test_no_good_version_is_blamed_for_new_pods_a_node_that_dies_or_an_outage(worst, fades_s):
    """The baseline's pods are lost, the canary's are replaced in the same moment, and stable fails more than before."""
    random, found = np.random.default_rng(7), 0
    for _ in range(12):
        per_s, common = int(random.integers(2, 60)), random.choice([0.0, 0.01, 0.4])
        looks = []
        for number in range(1, 13):
            ages = np.arange(SECONDS * (number - 1), SECONDS * number)
            bad = int(random.binomial(per_s, newness(ages, worst, fades_s)).sum())
            looks.append(look(number, 0, bad, round(per_s * SECONDS)))
        canary_bad = stable_bad = 0
        for second in range(1, 61):  # of a canary that is young again, peeked at again and again
            rate = 1 - (1 - common) * (1 - newness(second - 1.0, worst, fades_s))
            canary_bad += int(random.binomial(per_s, rate))
            stable_bad += int(random.binomial(10 * per_s, common))
            if second % 3:
                continue
            counts = Counts(canary_bad, per_s * second, stable_bad, 10 * per_s * second)
            fresh = fresh_units(first_looks(looks, float(second)), "errors")
            found += disaster_alone("errors", counts, fresh, 1.1) is not None
    assert found == 0


def test_the_same_canary_held_to_stable_alone_would_be():
    """A negative control: what newness explains is not stable's rate."""
    counts, looks = Counts(95, 100, 0, 1000), [look(1, 0, 48, 50)]
    assert disaster_alone("errors", counts, fresh_units(looks, "errors"), 1.1) is None
    assert disaster_alone("errors", counts, (0, 1000), 1.1) is not None
