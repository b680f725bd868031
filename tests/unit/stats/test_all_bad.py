"""A canary whose every answer is bad, found without building what a large site's look does not need."""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.stats.all_bad import CHANCE, LEAST_UNITS, disaster
from controller.stats.counts import MOST_UNITS, Counts
from controller.stats.spending import Spending
from controller.stats.xgs import UpperTail
from tests.unit.stats.whole_law import fisher_law

MOST_BYTES = 16 * 2**20


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.integers(LEAST_UNITS, 400), st.integers(0, 400), st.data(), st.sampled_from((0.5, 1.0, 1.1, 1.5, 100.0)))
def test_the_kept_part_of_the_law_finds_the_same_disasters_as_the_whole(canary, stable, data, odds):
    stable_bad = data.draw(st.integers(0, stable))
    low, law = fisher_law(canary, stable, canary + stable_bad, odds)
    p = float(law[canary - low :].sum())
    found = disaster("errors", Counts(canary, canary, stable_bad, stable), odds)
    assert (found is not None) == (p <= CHANCE)
    if found is not None:
        assert found.p == pytest.approx(p, rel=1e-9, abs=3e-18)


@pytest.mark.parametrize(
    ("counts", "is_one"),
    [
        (Counts(3 * 10**7, 3 * 10**7, 0, 3 * 10**7), True),
        (Counts(MOST_UNITS, MOST_UNITS, MOST_UNITS // 2, MOST_UNITS), True),
        (Counts(MOST_UNITS // 2, MOST_UNITS // 2, MOST_UNITS - 1, MOST_UNITS), False),
        (Counts(10, 10, MOST_UNITS // 100, MOST_UNITS), True),
    ],
)
def test_a_large_sites_disaster_takes_megabytes_and_not_its_whole_support(counts, is_one):
    found, most = peak(lambda: disaster("errors", counts, 1.1))
    assert (found is not None) == is_one
    assert most < MOST_BYTES


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 1.0])
def test_one_look_of_as_many_units_as_a_row_may_have_is_bounded(share):
    bad = int(MOST_UNITS * share)
    counts = Counts(bad, MOST_UNITS, bad, MOST_UNITS)
    test = UpperTail(1.1, Spending(0.01))
    _, most = peak(lambda: [test.add(look, counts) for look in range(1, 6)])
    assert most < MOST_BYTES


def peak(work):
    """What it returns, and the most bytes that it had at once."""
    tracemalloc.start()
    try:
        found = work()
        return found, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
