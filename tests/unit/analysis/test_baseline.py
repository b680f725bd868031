"""With `baseline: fresh` the other row of each look is that of new pods of stable."""

from typing import cast

import pytest

from controller.analysis import large_looks
from controller.analysis.measuring import Measuring
from controller.analysis.record import Run, look_to_raw, run_of
from controller.analysis.runs import RunStore
from controller.analysis.sources import Question, Sources
from controller.analysis.subject import Subject
from controller.api.analysis import Advanced, Analysis
from controller.api.revision import baseline_name
from controller.api.status import Attempt, Clock, Status
from controller.kube.client import KubeClient
from controller.kube.objects import Key
from controller.ports import Query, Row, Samples
from controller.rollout.observation import common_cause
from controller.stats.counts import Counts, Look
from controller.stats.data_gap import missing
from controller.stats.evidence import units_since
from controller.stats.judge import Judge
from controller.stats.method import AnalysisPlan, MetricPlan, plan_to_raw
from controller.stats.share_lag import share_lag
from controller.stats.share_mismatch import gap

NOBODY = cast("KubeClient", None)
STABLE, CANARY = "aaaaaaaaaa", "bbbbbbbbbb"
BASELINE = baseline_name(STABLE, CANARY, 1)
KEY = Key("shop", "web")
PLAN = AnalysisPlan(0.01, 5, (MetricPlan("errors", 1.1),), settle=1.0)


class Source:
    """Each revision's units are 10 for each second."""

    def __init__(self, reference):
        self.reference = reference

    async def query(self, query, window):
        total = round(10 * (window.end - window.start).total_seconds())
        return Samples((Row(CANARY, 0, total), Row(self.reference, 1, total)))

    async def has_rows(self, query, window):
        return True

    async def close(self):
        pass


class Asked(Sources):
    """Remembers whom the templates knew as stable."""

    def __init__(self):
        super().__init__(NOBODY, cluster="", own_namespace="")
        self.stables = []

    async def questions(self, key, metrics, *, stable, canary):
        self.stables.append(stable)
        return (Question("errors", Query("flux", ""), Source(stable), warm_up=False),)


def status(baseline, weight, since, *, beside=0.0):
    attempt = Attempt(CANARY, Clock(0.0), baseline=baseline, baseline_weight=beside)
    return Status(stable=STABLE, attempt=attempt, attempts=1, weight=weight, weight_since=since)


async def test_looks_compare_with_the_baseline_and_those_from_before_an_edit_with_stable():
    sources = Asked()
    measuring = Measuring(RunStore(NOBODY), sources)
    run = Run(KEY, "web-1", PLAN, 1000.0, {}, Judge(PLAN), [], [], 0)
    analysis = Analysis(interval=5.0, advanced=Advanced(settle=1.0))
    before = Subject(KEY, analysis, status("", 10.0, 1000.0), None, CANARY)
    questions = await sources.questions(KEY, (), stable=STABLE, canary=CANARY)
    await measuring._catch_up(run, before, questions, 1012.0)
    after = Subject(KEY, analysis, status(BASELINE, 10.0, 1013.0, beside=10.0), None, CANARY).after(before)
    questions = await sources.questions(KEY, (), stable=BASELINE, canary=CANARY)
    sources.stables.clear()
    await measuring._catch_up(run, after, questions, 1030.0)
    assert [(look.start, look.baseline) for look in run.looks] == [
        (1000.0, None),
        (1005.0, None),
        (1010.0, None),
        (1013.0, 10.0),
        (1018.0, 10.0),
        (1023.0, 10.0),
    ]
    assert sources.stables == [STABLE], "of the look that ends with the edit, and once"
    assert all(look.rows["errors"].stable_total > 0 for look in run.looks)


def test_what_a_look_was_compared_with_is_in_the_record_and_old_records_read_as_before():
    looks = [
        Look(1, 0.0, 5.0, 5.0, {"errors": Counts(0, 50, 1, 950)}),
        Look(2, 5.0, 10.0, 5.0, {"errors": Counts(0, 50, 1, 50)}, baseline=5.0),
    ]
    raws = [look_to_raw(look) for look in looks]
    assert "baseline" not in raws[0]
    page = {
        "metadata": {"name": "web-b-1"},
        "spec": {"startedAt": "1970-01-01T00:00:00Z", "method": plan_to_raw(PLAN)},
        "status": {"looks": raws},
    }
    run = run_of(KEY, "web-b-1", [page])
    assert run.looks == looks
    assert run.turns == [5.0]


def test_a_look_that_is_left_out_keeps_what_it_was_compared_with():
    look = Look(1, 0.0, 5.0, 5.0, {"errors": Counts(0, 50, 1, 50)}, baseline=5.0)
    run = Run(KEY, "web-1", PLAN, 0.0, {}, Judge(PLAN), [], [], 0, judging=look)
    large_looks.leave_out(run)
    assert [(one.weight, one.baseline, one.rows) for one in run.looks] == [(5.0, 5.0, {})]


def test_as_many_units_of_the_canary_are_expected_as_its_baseline_has():
    silent = [Look(n, n * 5.0, n * 5.0 + 5, 5.0, {"errors": Counts(0, 0, 0, 12)}, baseline=5.0) for n in (1, 2)]
    sentence = missing(silent, {})
    assert sentence is not None
    assert "about 24 were expected" in sentence


def test_a_missing_share_is_noticed_beside_a_baseline_and_an_even_one_is_not():
    for canary, noticed in ((50, False), (5, True)):
        looks = [
            Look(n, n * 5.0, n * 5.0 + 5, 5.0, {"errors": Counts(0, canary, 0, 50)}, baseline=5.0) for n in range(3, 40)
        ]
        assert (gap(looks, ("errors",), 5.0, 0.0, 0.001) is not None) is noticed
        assert (share_lag(looks, 5.0, 0.0) is not None) is noticed


def test_a_canary_beside_nobody_is_not_said_to_have_the_wrong_share():
    looks = [Look(n, n * 5.0, n * 5.0 + 5, 5.0, {"errors": Counts(0, 50, 0, 0)}, baseline=0.0) for n in range(3, 40)]
    assert gap(looks, ("errors",), 5.0, 0.0, 0.001) is None
    assert share_lag(looks, 5.0, 0.0) is None


def test_looks_beside_nobody_say_nothing_of_the_canary():
    judge = Judge(PLAN)
    for number in range(1, 100):
        judge.add(Look(number, number * 5.0, number * 5.0 + 5, 5.0, {"errors": Counts(50, 50, 0, 0)}, baseline=0.0))
    assert judge.evidence().regression is None
    assert not judge.evidence().proven


def test_what_was_compared_with_the_baseline_is_not_said_of_stable():
    plan = AnalysisPlan(0.01, 5, (MetricPlan("errors", 1.1, 1.5), MetricPlan("floor", None, limit=0.01)))
    judge = Judge(plan)
    for number in range(1, 9):
        rows = {"errors": Counts(1, 50, 1, 50), "floor": Counts(60, 100, 60, 100)}
        judge.add(Look(number, number * 5.0, number * 5.0 + 5, 5.0, rows, baseline=5.0))
    found = judge.evidence()
    assert "times the baseline's" in found.not_excluded() or "ratio to the baseline's" in found.not_excluded()
    assert "8 of 400 on the baseline; p = " in found.metrics[0].explanation(8)
    trouble = common_cause(found, "canary")
    assert trouble is not None
    assert trouble.message.startswith("floor: the baseline is above the limit of 1.00% as well, so the canary is not")
    judge.add(Look(9, 45.0, 50.0, 5.0, {"errors": Counts(1, 50, 1, 950)}))
    assert " on stable; p = " in judge.evidence().metrics[0].explanation(9), "the spec asks for no baseline any more"


async def test_without_its_baseline_stable_stands_beside_the_canary_and_the_audit_asks_for_the_same():
    sources = Asked()
    measuring = Measuring(RunStore(NOBODY), sources)
    run = Run(KEY, "web-1", PLAN, 1000.0, {}, Judge(PLAN), [], [], 0)
    analysis = Analysis(interval=5.0, advanced=Advanced(settle=1.0))
    before = Subject(KEY, analysis, status(BASELINE, 10.0, 1000.0, beside=10.0), None, CANARY)
    questions = await sources.questions(KEY, (), stable=BASELINE, canary=CANARY)
    await measuring._catch_up(run, before, questions, 1011.0)
    lost = Subject(KEY, analysis, status(BASELINE, 10.0, 1010.0), None, CANARY).after(before)
    assert (before.reference, lost.reference) == (BASELINE, STABLE)
    questions = await sources.questions(KEY, (), stable=STABLE, canary=CANARY)
    await measuring._catch_up(run, lost, questions, 1050.0)
    assert [look.baseline for look in run.looks] == [10, 10, *[0] * 7]
    assert all(look.rows["errors"].stable_total > 0 for look in run.looks)
    run.audited = 2
    sources.stables.clear()
    await measuring._audit(run, lost)
    assert (sources.stables, run.late, run.audited) == ([STABLE], {}, 7)


async def test_when_the_work_is_back_at_stable_a_common_cause_is_seen_to_end():
    """The canary and its baseline have no work then, so nothing else would show that it is over."""
    plan = AnalysisPlan(0.01, 5, (MetricPlan("floor", None, limit=0.01),), settle=1.0)
    looks = [
        Look(n, 995.0 + 5 * n, 1000.0 + 5 * n, 10.0, {"floor": Counts(50, 50, 50, 50)}, baseline=10.0)
        for n in range(1, 4)
    ]
    run = Run(KEY, "web-1", plan, 1000.0, {}, Judge.over(plan, looks), looks, [], 0)
    assert run.judge.evidence().common_cause is not None
    sources = Good()
    subject = Subject(
        KEY, Analysis(interval=5.0, advanced=Advanced(settle=1.0)), status(BASELINE, 0.0, 1015.0), None, CANARY
    )
    questions = await sources.questions(KEY, (), stable=subject.reference, canary=CANARY)
    await Measuring(RunStore(NOBODY), sources)._catch_up(run, subject, questions, 1100.0)
    assert run.judge.evidence().common_cause is None


class Good(Sources):
    """Only stable has work, and does it well."""

    def __init__(self):
        super().__init__(NOBODY, cluster="", own_namespace="")

    async def questions(self, key, metrics, *, stable, canary):
        return (Question("floor", Query("flux", ""), Warm(stable), warm_up=False),)


class Warm(Source):
    async def query(self, query, window):
        return Samples((Row(self.reference, 0, 500),) if self.reference == STABLE else ())


def alone(number, canary, stable, name="errors"):
    start = 5.0 * number
    return Look(number, start, start + 5.0, 10.0, {name: Counts(*canary, *stable)}, baseline=0.0)


def test_what_breaks_stable_too_while_the_baseline_is_gone_is_a_common_cause():
    plan = AnalysisPlan(0.01, 5, (MetricPlan("floor", None, limit=0.01),))
    judge = Judge.over(plan, [alone(n, (100, 100), (900, 900), "floor") for n in range(1, 4)])
    assert judge.evidence().regression is None
    trouble = common_cause(judge.evidence(), "canary")
    assert trouble is not None
    assert trouble.message.startswith("floor: stable is above the limit of 1.00% as well")
    judge = Judge.over(plan, [alone(n, (100, 100), (0, 900), "floor") for n in range(1, 4)])
    assert judge.evidence().regression is not None, "its own fault is still seen"


def test_bad_units_beside_no_baseline_do_not_complete_a_crossing_that_was_held_back():
    looks = [
        Look(n, 5.0 * n, 5.0 * n + 5, 10.0, {"errors": Counts(1, 50, 0, 5000)}, baseline=100.0) for n in range(1, 5)
    ]
    judge = Judge.over(PLAN, looks)
    (held,) = judge.evidence().metrics
    assert (held.held_back, held.counts.canary_bad) == (True, 4)
    for number in range(5, 9):
        judge.add(alone(number, (50, 50), (450, 450)))
    (found,) = judge.evidence().metrics
    assert found.held_back, "everything fails, and nothing more is known of the canary"
    assert (found.counts, found.alone) == (Counts(4, 200, 0, 20_000), Counts(200, 200, 1800, 1800))


def test_units_that_were_compared_with_nobody_do_not_count_for_a_step():
    with_it = Look(1, 0.0, 5.0, 10.0, {"errors": Counts(0, 30, 0, 30)}, baseline=10.0)
    assert units_since([with_it, alone(2, (0, 500), (0, 4500))], 0.0) == 30


class Failing:
    """Of 10 units a second the canary's are all bad, and nobody else's; the windows and revisions it was asked for."""

    def __init__(self, asked, reference):
        self.asked, self.reference = asked, reference

    async def query(self, query, window):
        self.asked.append((self.reference, window.start.timestamp(), window.end.timestamp()))
        total = round(10 * (window.end - window.start).total_seconds())
        return Samples((Row(CANARY, total, total), Row(self.reference, 0, 9 * total)))

    async def has_rows(self, query, window):
        return True

    async def close(self):
        pass


class Sourced(Sources):
    def __init__(self, *, warm_up=False):
        super().__init__(NOBODY, cluster="", own_namespace="")
        self.warm_up = warm_up
        self.asked = []

    async def questions(self, key, metrics, *, stable, canary):
        return (Question("errors", Query("flux", ""), Failing(self.asked, stable), warm_up=self.warm_up),)


def run_until(end, *, baseline=10.0):
    """The canary was as good as its baseline so far."""
    rows = {"errors": Counts(0, 50, 0, 50)}
    looks = [Look(n, 995.0 + 5 * n, 1000.0 + 5 * n, 10.0, rows, baseline=baseline) for n in range(1, 13)]
    return Run(KEY, f"web-{CANARY}-1", PLAN, 1000.0, {}, Judge(PLAN), looks, [], 0)


class Known(RunStore):
    def __init__(self, run):
        super().__init__(NOBODY)
        self.run = run

    def known(self, key):
        return self.run


async def found_at(now, *, lost_at, beside=0.0, run=None, warm_up=False, weight=10.0):
    sources = Sourced(warm_up=warm_up)
    measuring = Measuring(Known(run or run_until(1060.0)), sources)
    subject = Subject(KEY, Analysis(), status(BASELINE, weight, lost_at, beside=beside), None, CANARY)
    return await measuring.provisional(subject, now), sources.asked


async def test_without_its_baseline_a_disastrous_canary_is_seen_against_warm_stable_however_long_it_lasts():
    found, asked = await found_at(1360.0, lost_at=1060.0)
    assert found is not None
    assert (found.counts, found.fresh) == (Counts(3000, 3000, 0, 27_000), (0, 600))
    assert asked == [(STABLE, 1060.0, 1360.0)]


@pytest.mark.parametrize(
    "given",
    [
        {"lost_at": 1060.0, "beside": 10.0},
        {"lost_at": 1060.0, "weight": 100.0},
        {"lost_at": 1357.0},
        {"lost_at": 1060.0, "run": run_until(1060.0, baseline=0.0)},
        {"lost_at": 1060.0, "warm_up": True},
    ],
    ids=["it is there", "nobody beside it", "for shorter than a look", "it never had work", "metric of warm pods"],
)
async def test_it_is_not_where_that_says_nothing(given):
    found, _ = await found_at(1360.0, **given)
    assert found is None
