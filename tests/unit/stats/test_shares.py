"""The bet on the share of the work: fair while the share is in its band, and won where work is missing."""

import math
import random

import pytest
from scipy.stats import binom  # type: ignore[attr-defined]

from controller.stats.counts import Counts, Look
from controller.stats.share_mismatch import gap, log_e

SET_AT = 1000.0


def looks(*counts, after=20.0, weight=10.0):
    return [
        Look(number, SET_AT + after + 5 * number, SET_AT + after + 5 * number + 5, weight, {"errors": one})
        for number, one in enumerate(counts, start=1)
    ]


def told(*counts, weight=10.0, names=("errors",), **where):
    return gap(looks(*counts, weight=weight, **where), names, weight, SET_AT, 0.001)


@pytest.mark.parametrize("weight", [0.01, 0.05, 0.1, 0.3, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("within", [0.85, 0.9, 1.0, 1.1, 1.15])
@pytest.mark.parametrize("units", [1, 10, 200])
def test_the_bet_is_fair_or_worse_while_the_share_is_in_its_band(weight, within, units):
    chances = binom.pmf(range(units + 1), units, min(weight * within, 1.0))
    mean = math.fsum(chance * math.exp(log_e(k, units - k, weight)) for k, chance in enumerate(chances))
    assert mean <= 1 + 1e-9


def test_a_canary_without_any_work_is_noticed_after_some_expected_units():
    assert told(Counts(0, 0, 0, 90)) is None, "nine were expected"
    sentence = told(*[Counts(0, 0, 0, 90)] * 3)
    assert sentence == ("at 10 % the router has counted 0 of 270 units on the canary: work of the canary is missing")


def test_half_of_the_share_is_noticed_too_and_so_is_stables_gap():
    assert told(*[Counts(0, 50, 0, 950)] * 4) is not None
    assert "work of the stable version is missing" in (told(*[Counts(0, 20, 0, 80)] * 10) or "")


@pytest.mark.parametrize("canary", [88, 100, 112])
def test_what_is_within_the_band_is_never_told(canary):
    assert told(*[Counts(0, canary, 0, 1000 - canary)] * 100) is None


def test_chance_alone_is_told_in_less_than_the_share_of_cases_that_was_promised():
    dice = random.Random(4)  # noqa: S311 - the same each time
    wrong = 0
    for _ in range(200):
        seen = [sum(dice.random() < 0.085 for _ in range(40)) for _ in range(60)]
        made = looks(*(Counts(0, k, 0, 40 - k) for k in seen))
        wrong += any(gap(made[:end], ("errors",), 10, SET_AT, 0.05) for end in range(1, 61))
    assert wrong <= 0.05 * 200


def test_looks_before_the_router_had_its_time_do_not_count():
    assert told(*[Counts(0, 0, 0, 900)], after=0.0) is None
    assert told(*[Counts(0, 0, 0, 900)], after=6.0) is not None


def test_metrics_that_are_counted_elsewhere_say_nothing():
    assert told(*[Counts(0, 0, 0, 900)] * 9, names=()) is None
    assert told(*[Counts(0, 0, 0, 900)] * 9, names=("latency",)) is None


@pytest.mark.parametrize("weight", [0.0, 100.0])
def test_a_share_of_nothing_or_everything_has_no_gap(weight):
    assert gap(looks(Counts(0, 50, 0, 50)), ("errors",), weight, SET_AT, 0.001) is None
