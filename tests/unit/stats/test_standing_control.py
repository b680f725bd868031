"""Stable against itself: where even its own halves differ, a metric convicts nobody and proves nothing."""

import itertools

import numpy as np
import pytest
from scipy.stats import binom, hypergeom  # type: ignore[attr-defined]

from controller.analysis.method import controlled
from controller.stats.counts import Counts, Look
from controller.stats.evidence import Verdict
from controller.stats.judge import Judge
from controller.stats.method import AnalysisPlan, MetricPlan, plan_from_raw, plan_to_raw
from controller.stats.overdispersion import LOOKS, Control

BARE = AnalysisPlan(0.01, 5, (MetricPlan("slow", 1.25, 1.5), MetricPlan("floor", None, limit=0.2)))
PLAN = controlled(BARE, {"slow"}, {})
ALIKE = Counts(10, 100, 10, 100)
UNLIKE = Counts(20, 100, 2, 100)
TERRIBLE = Counts(60, 100, 20, 200)


def judge_of(plan, halves, rows):
    judge = Judge(plan)
    for number, (half, row) in enumerate(zip(halves, rows, strict=True), start=1):
        judge.add(Look(number, number * 5.0, number * 5.0 + 5, 10.0, {"slow": row}, {"slow": half}))
    return judge


def verdicts(plan, halves, rows):
    metric = judge_of(plan, halves, rows).evidence().metrics[0]
    return metric.verdict, metric.held_back, metric.overdispersed


def test_a_look_counts_as_different_in_the_outer_twentieth_of_the_law():
    random = np.random.default_rng(5)
    for _ in range(40):
        totals, bad = random.integers(1, 60, 2), int(random.integers(0, 12))
        bad = min(bad, int(totals.sum()))
        for first in range(max(0, bad - totals[1]), min(bad, totals[0]) + 1):
            law = hypergeom(int(totals.sum()), int(totals[0]), bad)
            control = Control()
            control.add(Counts(first, int(totals[0]), bad - first, int(totals[1])))
            ends = [law.pmf(max(0, bad - totals[1])), law.pmf(min(bad, totals[0]))]
            if bad == 0 or min(ends) > 0.025 * (1 + 1e-9):
                assert control.bits == ""
                continue
            p = min(law.cdf(first), law.sf(first - 1))
            assert abs(p - 0.025) < 1e-9 or control.bits == ("1" if p <= 0.025 else "0")


def test_pods_that_are_alike_are_hardly_ever_taken_for_others():
    random = np.random.default_rng(6)
    fired = looks = runs = 0
    for _ in range(15):
        control = Control()
        for _ in range(LOOKS):
            bad = random.binomial(200, 0.05, 2)
            control.add(Counts(int(bad[0]), 200, int(bad[1]), 200))
            runs += control.overdispersed
        fired, looks = fired + control.bits.count("1"), looks + len(control.bits)
    assert looks > 14 * LOOKS
    assert 0.02 < fired / looks <= 0.05
    assert runs == 0


def test_it_is_scattered_when_chance_would_show_so_many_in_one_of_ten_thousand_cases():
    for looks in (1, 4, 20, LOOKS):
        for fired in range(looks + 1):
            control = Control("1" * fired + "0" * (looks - fired))
            assert control.overdispersed == (fired > 0 and binom.sf(fired - 1, looks, 0.05) <= 1e-4), (fired, looks)


def test_a_metric_whose_control_differs_only_advises():
    bad = [TERRIBLE] * 10
    assert verdicts(PLAN, [ALIKE] * 10, bad) == (Verdict.REGRESSION, False, False)
    assert verdicts(PLAN, [UNLIKE] * 10, bad) == (Verdict.UNDECIDED, True, True)
    assert verdicts(BARE, [UNLIKE] * 10, bad) == (Verdict.REGRESSION, False, False), "nothing is controlled"
    evidence = judge_of(PLAN, [UNLIKE] * 10, bad).evidence()
    assert evidence.regression is None
    assert evidence.advice.startswith("slow is advisory: stable's own pods differ")


def test_it_proves_nothing_either():
    good = [Counts(10, 400, 60, 800)] * 10
    assert judge_of(PLAN, [ALIKE] * 10, good).evidence().proven
    assert not judge_of(PLAN, [UNLIKE] * 10, good).evidence().proven
    two = AnalysisPlan(0.01, 5, (*PLAN.metrics[:1], MetricPlan("errors", 1.1, 1.5)))
    judge = Judge(two)
    for number in range(1, 11):
        judge.add(Look(number, 0, 5, 10.0, {"slow": good[0], "errors": good[0]}, {"slow": UNLIKE}))
    assert judge.evidence().proven, "the metrics that do more than advise are proven"


def test_what_was_crossed_convicts_once_the_pods_are_alike_again():
    halves, rows = [UNLIKE] * 6 + [ALIKE] * LOOKS, [TERRIBLE] * (LOOKS + 6)
    assert verdicts(PLAN, halves, rows) == (Verdict.REGRESSION, False, False)


def test_the_next_attempt_goes_on_with_what_was_seen():
    before = judge_of(PLAN, [UNLIKE] * 6, [TERRIBLE] * 6).controls()
    assert before == {"slow": "111111"}
    again = controlled(BARE, {"slow"}, before)
    assert verdicts(again, [ALIKE] * 3, [TERRIBLE] * 3) == (Verdict.UNDECIDED, True, True)
    assert plan_from_raw(plan_to_raw(again)) == again


@pytest.mark.parametrize("stop", [0, 1, 7, 20])
def test_a_restart_anywhere_gives_the_same(stop):
    halves = list(itertools.islice(itertools.cycle([ALIKE, UNLIKE, ALIKE]), 20))
    looks = [
        Look(number, 0, 5, 10.0, {"slow": TERRIBLE}, {"slow": half}) for number, half in enumerate(halves, start=1)
    ]
    straight, begun = Judge.over(PLAN, looks), Judge.over(PLAN, looks[:stop])
    resumed = Judge.resumed(PLAN, looks[:stop], begun.to_raw())
    for look in looks[stop:]:
        resumed.add(look)
    assert resumed.controls() == straight.controls()
    assert resumed.evidence() == straight.evidence()


def test_without_it_pods_that_scatter_convict_good_versions_and_with_it_they_do_not():
    """Each pod has a rate of its own in each look, as one that collects garbage or has a cold cache."""
    random = np.random.default_rng(7)
    convicted = {"without": 0, "with": 0}
    before: dict[str, str] = {}
    for _ in range(25):
        rates = random.beta(1.0, 9.0, (40, 5))  # canary, and two pods in each half of stable
        bad = random.binomial(100, rates)
        rows = [Counts(int(one[0]), 100, int(one[1:].sum()), 400) for one in bad]
        halves = [Counts(int(one[1:3].sum()), 200, int(one[3:].sum()), 200) for one in bad]
        convicted["without"] += verdicts(BARE, halves, rows)[0] is Verdict.REGRESSION
        judge = judge_of(controlled(BARE, {"slow"}, before), halves, rows)
        convicted["with"] += any(
            judge_of(controlled(BARE, {"slow"}, before), halves[:n], rows[:n]).evidence().regression is not None
            for n in (2, 4, 8, 40)
        )
        before = judge.controls()
    assert convicted["without"] > 4
    assert convicted["with"] <= 1, "but for the first attempt, in which nothing is known yet"
