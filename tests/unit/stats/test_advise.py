"""Metrics whose mode is `advise` are tested like any other, take no part of the promise, and decide nothing."""

from dataclasses import replace

import pytest

from controller.stats.counts import Counts, Look
from controller.stats.evidence import Verdict
from controller.stats.judge import Judge
from controller.stats.method import AnalysisPlan, MetricPlan, plan_from_raw, plan_to_raw

ERRORS, FLOOR = MetricPlan("errors", 1.1, 1.5), MetricPlan("floor", None, limit=0.02)
ADVICE = (
    MetricPlan("sign-ups", 1.1, 1.5, advises=True),
    MetricPlan("slow/0.1", 1.25, advises=True),
    MetricPlan("slow/1", 1.25, advises=True),
    MetricPlan("ceiling", None, limit=0.1, advises=True),
)
PLAN = AnalysisPlan(0.01, 5, (ERRORS, FLOOR, *ADVICE))
GOOD, BAD = Counts(2, 1000, 60, 10_000), Counts(900, 1000, 10, 10_000)


def after(plan: AnalysisPlan, **rows: Counts):
    judge = Judge(plan)
    for number in range(1, 31):
        judge.add(Look(number, number * 5.0, number * 5.0 + 5, 10.0, rows))
    return judge.evidence()


def test_the_promise_is_shared_out_among_the_metrics_that_judge_as_if_there_were_no_others():
    alone = AnalysisPlan(0.01, 5, (ERRORS, FLOOR))
    assert [PLAN.alpha_of(metric) for metric in (ERRORS, FLOOR)] == [alone.alpha_of(one) for one in (ERRORS, FLOOR)]
    only = AnalysisPlan(0.01, 5, (ERRORS, *ADVICE))
    assert only.alpha_of(ERRORS) == 0.01


def test_what_advising_metrics_report_has_a_bound_of_its_own():
    parts = [PLAN.alpha_of(metric) for metric in ADVICE]
    assert parts == pytest.approx([0.0045, 0.00225, 0.00225, 0.001])
    assert sum(parts) == pytest.approx(0.01)


def test_the_same_looks_give_the_judging_metrics_the_same_evidence_to_the_last_bit():
    rows = {"errors": Counts(3, 100, 20, 1000), "floor": Counts(3, 100, 20, 1000)}
    beside = after(PLAN, **rows, **{one.name: BAD for one in ADVICE})
    alone = after(AnalysisPlan(0.01, 5, (ERRORS, FLOOR)), **rows)
    assert beside.judging == alone.metrics
    assert (beside.verdict, beside.nearest, beside.canary_units) == (alone.verdict, alone.nearest, alone.canary_units)
    assert beside.not_excluded() == alone.not_excluded()


@pytest.mark.parametrize("advising", ADVICE, ids=lambda one: one.name)
def test_an_advising_metric_reports_a_regression_and_is_no_verdict(advising):
    found = after(AnalysisPlan(0.01, 5, (ERRORS, advising)), **{"errors": GOOD, advising.name: BAD})
    assert [one.name for one in found.reported] == [advising.name]
    assert found.regression is None
    assert found.proven
    assert found.verdict is Verdict.NO_WORSE
    assert f"{advising.name} 27000/30000" in found.advice
    assert found.advice.endswith("its mode is advise, so nothing is rolled back for it")


def test_a_limit_that_stable_breaks_too_waits_for_nobody_where_it_only_advises():
    everybody = Counts(300, 1000, 3000, 10_000)
    found = after(AnalysisPlan(0.01, 5, (ERRORS, ADVICE[3])), errors=GOOD, ceiling=everybody)
    assert found.metrics[1].verdict is Verdict.COMMON_CAUSE
    assert found.common_cause is None
    assert found.verdict is Verdict.NO_WORSE


def test_an_advising_metric_that_is_not_proven_keeps_no_promotion_waiting_and_its_units_count_for_none():
    found = after(
        AnalysisPlan(0.01, 5, (ERRORS, ADVICE[0])), **{"errors": GOOD, "sign-ups": Counts(10, 9000, 10, 9000)}
    )
    assert found.metrics[1].verdict is Verdict.NO_WORSE or not found.metrics[1].proven
    assert found.proven
    assert found.canary_units == 30_000


def test_too_few_bad_units_are_no_suspicion_where_it_only_advises():
    held = Counts(3, 3, 0, 10_000)
    for advises in (True, False):
        plan = AnalysisPlan(0.01, 5, (replace(ADVICE[0], advises=advises),))
        judge = Judge(plan)
        judge.add(Look(1, 5.0, 10.0, 10.0, {"sign-ups": held}))
        (metric,) = judge.evidence().metrics
        assert metric.standing.crossed
        assert metric.held_back is not advises


def test_where_all_metrics_advise_nothing_is_proven_and_nothing_rejected():
    found = after(AnalysisPlan(0.01, 5, ADVICE[:1]), **{"sign-ups": BAD})
    assert (found.verdict, found.proven, found.regression, found.canary_units) == (Verdict.NO_DATA, False, None, 0)
    assert found.nearest is not None, "it is shown"


def test_the_mode_is_in_the_record_and_one_from_before_there_were_modes_judges():
    assert plan_from_raw(plan_to_raw(PLAN)) == PLAN
    assert "mode" not in str(plan_to_raw(AnalysisPlan(0.01, 5, (ERRORS,))))
