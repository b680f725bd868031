"""A part of the budget is kept for the bake, and the promise holds with it."""

import random

import pytest

from controller.stats.counts import Counts, Look
from controller.stats.judge import Judge
from controller.stats.method import BAKES_SHARE, AnalysisPlan, MetricPlan, plan_from_raw, plan_to_raw
from controller.stats.spending import Spending

PLAN = AnalysisPlan(0.05, 1, (MetricPlan("errors", 1.0),), reserve_at=95.0)


def test_before_the_bake_a_fifth_is_out_of_reach_and_in_it_all_but_nothing_is_left():
    spending = Spending(0.01, reserve=BAKES_SHARE)
    assert spending.until(10**7) == pytest.approx(0.008, rel=1e-5)
    assert spending.until(30, opened=30) == pytest.approx(0.008 * 30 / 50 + 0.002 / 21)
    assert spending.until(10**7, opened=30) == pytest.approx(0.01, rel=1e-5)


def test_what_may_be_spent_never_shrinks():
    spending = Spending(0.01, reserve=BAKES_SHARE)
    spent = [spending.until(look, 12 if look >= 12 else None) for look in range(1, 60)]
    assert spent == sorted(spent)


def test_without_a_bake_nothing_is_kept():
    assert Spending(0.01).until(20) == 0.005


def test_the_first_look_at_the_bakes_weight_opens_the_reserve_also_after_a_restart():
    looks = [
        Look(n, n - 1.0, float(n), 50.0 if n < 8 else 95.0, {"errors": Counts(1, 50, 1, 50)}) for n in range(1, 15)
    ]
    whole = Judge.over(PLAN, looks)
    first = Judge.over(PLAN, looks[:10])
    resumed = Judge.resumed(PLAN, looks[:10], first.to_raw())
    for look in looks[10:]:
        resumed.add(look)
    assert resumed.evidence() == whole.evidence()
    without = Judge.over(AnalysisPlan(0.05, 1, PLAN.metrics), looks)
    assert whole.evidence().metrics[0].standing.budget != without.evidence().metrics[0].standing.budget


def test_a_plan_with_a_bake_is_read_back():
    assert plan_from_raw(plan_to_raw(PLAN)) == PLAN
    assert "reserveAt" not in plan_to_raw(AnalysisPlan(0.05, 1, PLAN.metrics))


def test_good_versions_are_convicted_no_more_often_than_promised_before_and_in_the_bake_together():
    dice = random.Random(11)  # noqa: S311 - the same each time
    convicted = 0
    for _ in range(200):
        judge = Judge(PLAN)
        for number in range(1, 31):
            weight = 20.0 if number <= 12 else 95.0
            bad = [dice.random() < 0.05 for _ in range(60)]
            side = [dice.random() < weight / 100 for _ in range(60)]
            canary = [one for one, here in zip(bad, side, strict=True) if here]
            stable = [one for one, here in zip(bad, side, strict=True) if not here]
            counts = Counts(sum(canary), len(canary), sum(stable), len(stable))
            judge.add(Look(number, number - 1.0, float(number), weight, {"errors": counts}))
        convicted += judge.evidence().regression is not None
    assert convicted <= 0.05 * 200
