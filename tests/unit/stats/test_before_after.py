"""Before and after a switch: an ordinary day convicts nobody, and a version that fails is found at once."""

import json
import math

import numpy as np
import pytest

from controller.stats.before import LOOKS, RATIO, SLACK, Before
from controller.stats.before_after import BeforeAfterTest
from controller.stats.counts import Counts, Look
from controller.stats.evidence import Verdict
from controller.stats.judge import Judge
from controller.stats.method import AnalysisPlan, MetricPlan, plan_from_raw, plan_to_raw

ALPHA = 0.008
LOOK_S, KEPT_S = 5, 600
DAY_S = 86_400


class Day:
    """Traffic and rate go up and down with the hour, and drift."""

    def __init__(self, seed, per_s, base, wave, drift):
        self.dice = np.random.default_rng(seed)
        self.per_s, self.base, self.wave, self.drift = per_s, base, wave, drift
        self.hour = self.dice.uniform(0, DAY_S)

    def look(self, number, rate=None):
        at = number * LOOK_S
        turn = math.sin(2 * math.pi * (self.hour + at) / DAY_S)
        mean = self.per_s * LOOK_S * (1 + 0.5 * turn)
        units = int(self.dice.poisson(mean))
        now = self.base * (1 + self.wave * turn) * math.exp(self.drift * at / 3600)
        return int(self.dice.binomial(units, min(1.0, max(now, rate or 0.0)))), units


def switched_back(day, rate=None):
    """The look of the rollback, or None."""
    before = Before.of([day.look(number) for number in range(-LOOKS, 0)])
    test = BeforeAfterTest(before, RATIO, SLACK, ALPHA)
    for number in range(KEPT_S // LOOK_S):
        bad, units = day.look(number, rate)
        if test.add(number + 1, Counts(bad, units, 0, 0)).crossed:
            return number + 1
    return None


@pytest.mark.parametrize("per_s", [2, 10, 50, 500])
@pytest.mark.parametrize("base", [0.0005, 0.001, 0.01, 0.05])
def test_waves_and_drift_of_a_day_switch_hardly_any_good_version_back(per_s, base):
    days = [Day(seed, per_s, base, 0.9, 1.0) for seed in range(100)]
    assert sum(switched_back(day) is not None for day in days) <= 2


@pytest.mark.parametrize(("per_s", "base"), [(50, 0.0005), (50, 0.001), (500, 0.0005), (500, 0.001)])
def test_a_version_that_fails_five_percent_is_found_within_three_looks(per_s, base):
    found = sorted(switched_back(Day(seed, per_s, base, 0.5, 0.0), 0.05) or 1_000 for seed in range(100))
    assert found[50] <= 3
    assert found[-1] < 1_000


def test_one_bad_look_is_not_enough_however_bad_it_is():
    test = BeforeAfterTest(Before.of([(1, 1000)] * LOOKS), RATIO, SLACK, ALPHA)
    assert not test.add(1, Counts(500, 500, 0, 0)).crossed
    assert not test.add(2, Counts(0, 500, 0, 0)).crossed
    assert not test.add(3, Counts(500, 500, 0, 0)).crossed
    assert test.add(4, Counts(500, 500, 0, 0)).crossed


def test_hours_within_the_margin_save_up_nothing():
    fresh, old = (BeforeAfterTest(Before.of([(1, 1000)] * LOOKS), RATIO, SLACK, ALPHA) for _ in range(2))
    for number in range(1, 1001):
        old.add(number, Counts(1, 1000, 0, 0))
    for number in (1, 2):
        assert (
            fresh.add(number, Counts(60, 1000, 0, 0)).crossed == old.add(1000 + number, Counts(60, 1000, 0, 0)).crossed
        )
    assert old.standing.crossed


def test_the_worst_fifth_is_what_it_is_compared_with():
    before = Before.of([(0, 100)] * 16 + [(10, 100)] * 4)
    assert (before.bad, before.total, before.worst_bad, before.worst_total) == (40, 2000, 40, 400)


@pytest.mark.parametrize("looks", [[], [(0, 100)] * 4, [(0, 0)] * LOOKS])
def test_with_too_little_before_nobody_is_convicted_by_it(looks):
    test = BeforeAfterTest(Before.of(looks), RATIO, SLACK, ALPHA)
    for number in range(1, 100):
        assert not test.add(number, Counts(100, 100, 0, 0)).crossed


PLAN = AnalysisPlan(0.01, 5, (MetricPlan("errors", 2.0, slack=0.005, before=Before.of([(1, 1000)] * LOOKS)),))


def looks(rate):
    rows = ({"errors": Counts(int(rate * 1000), 1000, 0, 3)} for _ in range(6))
    return [Look(number, number * 5.0, number * 5.0 + 5, 100.0, row) for number, row in enumerate(rows, start=1)]


def test_the_method_is_stored_and_read_back():
    assert plan_from_raw(json.loads(json.dumps(plan_to_raw(PLAN)))) == PLAN


@pytest.mark.parametrize("stop", range(6))
def test_a_restart_between_any_two_looks_gives_the_same_evidence(stop):
    judge = Judge.over(PLAN, looks(0.06)[:stop])
    again = Judge.resumed(PLAN, looks(0.06)[:stop], json.loads(json.dumps(judge.to_raw())))
    for look in looks(0.06)[stop:]:
        judge.add(look)
        again.add(look)
    assert judge.evidence() == again.evidence()
    assert judge.evidence().regression is not None


def test_evidence_shows_what_was_before_and_not_what_is_left_on_the_old_version():
    found = Judge.over(PLAN, looks(0.001)).evidence()
    assert found.metrics[0].sentence() == "errors 6/6000 vs 20/20000 before"
    assert found.verdict is Verdict.UNDECIDED
    assert not found.proven
