"""The plan's formulas against what the simulation of `hack/bench decision` found (10,000 runs a row)."""

import math

import pytest

from controller.stats.counts import Counts
from controller.stats.power import Traffic, chance_to_detect, information, looks_to_detect, looks_to_prove
from controller.stats.spending import Spending
from controller.stats.xgs import LowerTail

SIMULATED = [
    # base %, lift, canary %, requests/s, detected %, median look
    (0.1, 2, 5, 500, 72.4, 41),
    (0.1, 2, 20, 500, 99.85, 15),
    (0.1, 5, 5, 50, 72.55, 39),
    (0.1, 5, 20, 50, 99.68, 16),
    (0.1, 5, 5, 500, 100, 6),
    (1, 1.5, 5, 500, 99.61, 17),
    (1, 1.5, 20, 50, 68.73, 44),
    (1, 2, 5, 50, 73.22, 40),
    (1, 2, 20, 50, 99.87, 16),
    (1, 2, 5, 500, 100, 6),
    (1, 5, 5, 50, 100, 6),
    (1, 5, 50, 500, 100, 1),
]


def traffic(base, share, rate) -> Traffic:
    return Traffic(units_per_look=10 * rate, base=base / 100, share=share / 100)


@pytest.mark.parametrize(("base", "lift", "share", "rate", "detected", "median"), SIMULATED)
def test_looks_are_foreseen_well_enough_to_plan_by(base, lift, share, rate, detected, median):
    looks = looks_to_detect(traffic(base, share, rate), lift, 0.01)
    if median < 20:
        assert abs(looks - median) <= 1.4
    else:
        assert 1.1 <= looks / median <= 1.3


@pytest.mark.parametrize(("base", "lift", "share", "rate", "detected", "median"), SIMULATED)
def test_the_chance_is_foreseen_within_four_points(base, lift, share, rate, detected, median):
    chance = chance_to_detect(traffic(base, share, rate), lift, Spending(0.01, 60), 60)
    assert abs(100 * chance - detected) < 4


def test_proof_takes_about_as_long_as_foreseen():
    """A canary as good as stable, its counts as expected on the average."""
    seen = traffic(1, 20, 500)
    test, look = LowerTail(1.5, Spending(0.05, 60)), 0
    while not test.standing.crossed:
        look += 1
        test.add(look, Counts(10, 1000, 40, 4000))
    assert 0.5 <= looks_to_prove(seen, 1.5, Spending(0.05, 60)) / look <= 1.5


def test_what_cannot_be_seen_takes_for_ever():
    for nothing in (Traffic(100, 0, 0.05), Traffic(100, 0.01, 0), Traffic(0, 0.01, 0.05), Traffic(100, 0.01, 1)):
        assert looks_to_detect(nothing, 2, 0.01) == math.inf
        assert looks_to_prove(nothing, 1.5, Spending(0.05)) == math.inf
        assert chance_to_detect(nothing, 2, Spending(0.01), 60) == 0
    assert information(Traffic(100, 0.01, 0.05), 1.0) == 0


def test_more_of_anything_shows_sooner():
    base = looks_to_detect(traffic(1, 5, 50), 2, 0.01)
    for more in (traffic(2, 5, 50), traffic(1, 10, 50), traffic(1, 5, 100)):
        assert looks_to_detect(more, 2, 0.01) < base
    assert looks_to_detect(traffic(1, 5, 50), 3, 0.01) < base
