"""Looks become evidence: the same counts, the same words, whoever adds them up and however often."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.stats.counts import NOTHING, Counts, Look
from controller.stats.evidence import Verdict, units_since
from controller.stats.judge import Judge
from controller.stats.method import AnalysisPlan, MetricPlan, plan_from_raw, plan_to_raw
from tests.unit.stats.test_xgs import counts

PROVING = AnalysisPlan(0.01, 5, (MetricPlan("errors", 1.1, 1.5), MetricPlan("slow/0.3", 1.25, 1.4)), 60, 0.1)
PLAN = AnalysisPlan(0.01, 5, (MetricPlan("errors", 1.1), MetricPlan("slow/0.3", 1.25)))
quick = settings(deadline=None, derandomize=True, max_examples=30)


def look(number: int, **rows: Counts) -> Look:
    return Look(number, number * 5.0, number * 5.0 + 5, 5.0, rows)


rows = st.lists(
    st.dictionaries(st.sampled_from(("errors", "slow/0.3", "stranger")), counts(80), max_size=3), max_size=30
)


@quick
@given(rows, st.integers(0, 30), st.sampled_from((PLAN, PROVING)))
def test_a_restart_at_any_look_gives_the_same_evidence_to_the_last_bit(many, stop, plan):
    looks = [Look(number, number * 5.0, number * 5.0 + 5, 5.0, row) for number, row in enumerate(many, start=1)]
    running = Judge(plan)
    for one in looks[:stop]:
        running.add(one)
    assert Judge.over(plan, looks[:stop]).evidence() == running.evidence()
    again = Judge.over(plan_from_raw(plan_to_raw(plan)), looks[:stop])
    for one in looks[stop:]:
        running.add(one)
        again.add(one)
        assert again.evidence() == running.evidence()


@quick
@given(rows)
def test_neither_the_order_of_metrics_nor_their_names_matter(many):
    turned = AnalysisPlan(PLAN.alpha, PLAN.min_bad_units, (MetricPlan("late", 1.25), MetricPlan("failures", 1.1)))
    names = {"errors": "failures", "slow/0.3": "late", "stranger": "other"}
    one, other = Judge(PLAN), Judge(turned)
    for number, row in enumerate(many, start=1):
        one.add(Look(number, 0, 5, 5, row))
        other.add(Look(number, 0, 5, 5, {names[name]: row[name] for name in reversed(list(row))}))
    first = {names[metric.name]: metric for metric in one.evidence().metrics}
    for metric in other.evidence().metrics:
        assert metric.standing == first[metric.name].standing
        assert metric.verdict == first[metric.name].verdict


def test_the_promise_is_shared_out_equally():
    assert [PLAN.alpha_of(metric) for metric in PLAN.metrics] == [0.005, 0.005]
    only = MetricPlan("errors", 1.1)
    assert AnalysisPlan(0.01, 5, (only,)).alpha_of(only) == 0.01


def test_the_thresholds_of_a_metric_share_its_part():
    names = ("errors", "slow/0.1", "slow/0.3", "slow/1", "slow/5")
    plan = AnalysisPlan(0.01, 5, tuple(MetricPlan(name, 1.1) for name in names))
    assert [plan.alpha_of(metric) for metric in plan.metrics] == [0.005, *[0.00125] * 4]


def test_a_canary_is_no_worse_when_every_metric_is_proven():
    plan = AnalysisPlan(0.01, 5, (MetricPlan("errors", 1.1, 1.5), MetricPlan("slow", 1.25, 1.5)))
    judge = Judge(plan)
    judge.add(look(1, errors=Counts(5, 500, 50, 500), slow=Counts(1, 500, 1, 500)))
    assert [metric.verdict for metric in judge.evidence().metrics] == [Verdict.NO_WORSE, Verdict.UNDECIDED]
    assert judge.evidence().verdict is Verdict.UNDECIDED
    judge.add(look(2, slow=Counts(5, 500, 80, 500)))
    assert judge.evidence().proven
    judge.add(look(3, slow=Counts(400, 500, 5, 500)))
    assert judge.evidence().verdict is Verdict.REGRESSION, "looks go on after a proof"


def test_without_a_margin_for_promotion_nothing_is_proven():
    judge = Judge.over(PLAN, [look(1, errors=Counts(0, 500, 500, 500))])
    assert judge.evidence().metrics[0].proof is None
    assert not judge.evidence().proven
    assert Judge(PLAN).evidence().verdict is Verdict.NO_DATA


def test_a_metric_without_data_says_so_and_decides_nothing():
    evidence = Judge.over(PLAN, [look(1, errors=Counts(0, 50, 1, 950))]).evidence()
    assert [metric.verdict for metric in evidence.metrics] == [Verdict.UNDECIDED, Verdict.NO_DATA]
    assert evidence.nearest is not None
    assert evidence.nearest.name == "errors"
    assert Judge(PLAN).evidence().nearest is None


def test_a_crossing_that_is_held_back_is_remembered():
    judge = Judge(PLAN)
    judge.add(look(1, errors=Counts(4, 4, 0, 996)))
    assert judge.evidence().metrics[0].held_back
    assert judge.evidence().regression is None
    judge.add(look(2, errors=Counts(0, 50, 100, 950)))
    assert judge.evidence().metrics[0].held_back, "not tested again on a law that has cut it off"
    judge.add(look(3, errors=Counts(1, 50, 0, 950)))
    found = judge.evidence().regression
    assert found is not None
    assert found.counts.canary_bad == 5


def test_the_sentence_has_the_counts_and_for_a_verdict_the_chance():
    judge = Judge(PLAN)
    judge.add(look(1, errors=Counts(1, 50, 1, 950)))
    assert judge.evidence().metrics[0].sentence() == "errors 1/50 vs 1/950"
    judge.add(look(2, errors=Counts(30, 50, 1, 950)))
    assert judge.evidence().metrics[0].sentence().startswith("errors 31/100 vs 2/1900 (p ")


def test_the_nearest_metric_is_the_one_closest_to_conviction():
    judge = Judge(PLAN)
    judge.add(look(1, errors=Counts(0, 50, 1, 950)))
    judge.add(Look(2, 0, 5, 5, {"errors": Counts(0, 50, 9, 950), "slow/0.3": Counts(3, 50, 0, 950)}))
    nearest = judge.evidence().nearest
    assert nearest is not None
    assert nearest.name == "slow/0.3"


def test_units_since_a_moment_count_whole_looks_of_the_busiest_metric():
    looks = [look(1, errors=Counts(0, 10, 0, 90)), look(2, errors=Counts(0, 10, 0, 90), slow=Counts(0, 30, 0, 70))]
    assert units_since(looks, 0) == 30
    assert units_since(looks[:1], 0) == 10
    assert units_since(looks, 7) == 30
    assert units_since(looks, 11) == 0
    assert units_since([], 0) == 0
    assert NOTHING + looks[0].rows["errors"] == looks[0].rows["errors"]


def test_a_method_that_cannot_be_read_is_an_error():
    with pytest.raises(TypeError, match="not a method"):
        plan_from_raw({"metrics": "all", "alpha": 0.01, "minBadUnits": 5})
