"""Looks at what reaches a version without work: which record they are in, what they ask, and what a restart finds."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from typing import cast

import pytest

from controller.analysis.measuring import Measuring
from controller.analysis.opening import Opening
from controller.analysis.provisional import at_once
from controller.analysis.record import Run, look_to_raw, run_of
from controller.analysis.runs import RunStore
from controller.analysis.sources import MetricTroubleError, Question, Sources
from controller.analysis.subject import Subject
from controller.api.analysis import Advanced, Analysis, Margin, Metric
from controller.api.reasons import Reason
from controller.api.resources import ANALYSIS_RUNS
from controller.api.revision import baseline_name
from controller.api.status import Attempt, Clock, Status
from controller.kube.client import KubeClient
from controller.kube.objects import Key
from controller.ports import Query, Row, Samples
from controller.stats.counts import Counts, Look
from controller.stats.judge import Judge
from controller.stats.method import AnalysisPlan, MetricPlan, plan_to_raw
from tests.unit.runtime.fake_api import FakeApi
from tests.unit.runtime.fake_client import FakeClient, Weather

NOBODY = cast("KubeClient", None)
STABLE, CANARY = "aaaaaaaaaa", "bbbbbbbbbb"
KEY = Key("shop", "web")
PLAN = AnalysisPlan(0.01, 5, (MetricPlan("errors", 1.1), MetricPlan("floor", None, limit=0.02)), settle=1.0)
METRICS = (
    Metric("errors", "http", {}, Margin(), "spec"),
    Metric("floor", "http", {}, None, "spec", 0.02),
)
OWN, PREVIEW = "web-bbbbbbbbbb-1", "web-bbbbbbbbbb-1-preview"


class Source:
    """Stable has 100 units a second and the canary ten."""

    def __init__(self, *, all_bad=False):
        self.all_bad, self.out = all_bad, False

    async def query(self, query, window):
        seconds = round((window.end - window.start).total_seconds())
        return Samples((Row(CANARY, 10 * seconds * self.all_bad, 10 * seconds), Row(STABLE, 0, 100 * seconds)))

    async def has_rows(self, query, window):
        return True

    async def close(self):
        pass


def questions(*, all_bad=False):
    source = Source(all_bad=all_bad)
    return [Question(name, Query("flux", ""), source, warm_up=False) for name in ("errors", "floor")]


def subject(weight=0.0, *, since=1000.0, run="", switches=False, judged=True, **attempt):
    status = Status(
        stable=STABLE,
        attempt=Attempt(CANARY, Clock(900.0), run=run, **attempt),
        attempts=1,
        weight=weight,
        weight_since=since,
    )
    analysis = Analysis(interval=5.0, metrics=METRICS, advanced=Advanced(settle=1.0))
    return Subject(KEY, analysis, status, None, CANARY, switches=switches, judged_before=judged)


async def looks(*subjects, run=OWN):
    """What is measured of each, ten seconds after it began."""
    measuring = Measuring(RunStore(NOBODY), cast("Sources", None))
    found = Run(KEY, run, PLAN, 1000.0, {}, Judge(PLAN), [], [], 0)
    before = None
    for one in subjects:
        after = one if before is None else one.after(before)
        await measuring._catch_up(found, after, questions(), (after.status.weight_since or 0.0) + 11)
        before = after
    return found.looks


def named(look):
    return look.copied, look.chosen, look.weight, sorted(look.rows)


async def test_copies_are_compared_and_requests_that_people_choose_are_held_to_limits():
    every, limits = ["errors", "floor"], ["floor"]
    assert {named(look)[:3] for look in await looks(subject(copied=10.0))} == {(10, False, 0)}
    assert named((await looks(subject(copied=10.0)))[0]) == (10, False, 0, every)
    assert named((await looks(subject(chosen=True)))[0]) == (0, True, 0, limits)
    assert named((await looks(subject(20.0, chosen=True)))[0]) == (0, False, 20, every), "with work it is compared"


async def test_a_look_ends_where_the_copies_begin_or_change_or_end():
    found = await looks(
        subject(copied=10.0),
        subject(since=1012.0, copied=50.0, run=OWN),
        subject(since=1026.0, run=OWN),
        subject(5.0, since=1041.0, run=OWN),
    )
    assert all(before.end == after.start for before, after in itertools.pairwise(found))
    assert {(1012.0, 50), (1026.0, 0)} <= {(look.start, look.copied) for look in found}
    assert [look.copied for look in found if look.start < 1012] == [10, 10, 10]
    assert (found[-1].weight, found[-1].copied) == (5, 0)


async def test_before_a_switch_nothing_but_copies_is_compared():
    (first, *_) = await looks(subject(switches=True, run=PREVIEW), run=PREVIEW)
    assert sorted(first.rows) == ["floor"], "whatever the version did there, it was no random part"
    (first, *_) = await looks(subject(switches=True, run=PREVIEW, copied=10.0), run=PREVIEW)
    assert sorted(first.rows) == ["errors", "floor"]


def test_each_side_of_a_switch_has_its_record():
    assert subject(switches=True, copied=10.0).run == PREVIEW
    assert subject(100.0, switches=True, run=PREVIEW).run == OWN
    assert subject(0.0, switches=True, run=OWN).run == OWN, "the work is back for a moment only"
    assert subject(0.0, switches=True, run=PREVIEW, switched=True).run == OWN, "before a pass has named its record"
    assert subject(copied=10.0).run == OWN, "a canary has one"


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (subject(switches=True, copied=10.0), True),
        (subject(100.0, switches=True, run=PREVIEW, judged=False), True),
        (subject(100.0, switches=True, judged=False), False),
        (subject(copied=10.0), False),
    ],
    ids=["before", "the step was taken out of the spec", "nothing was judged before", "a canary"],
)
def test_the_budget_is_halved_where_there_are_two_records(one, two):
    assert one.has_two_runs is two


def test_nothing_is_measured_before_something_reaches_the_version():
    assert not subject().measures
    assert subject(copied=10.0).measures
    assert subject(chosen=True).measures


async def test_all_bad_is_seen_of_copies_at_once_and_not_of_requests_that_people_choose():
    run = Run(KEY, OWN, PLAN, 1000.0, {}, Judge(PLAN), [], [], 0)
    found = await at_once(run, questions(all_bad=True), subject(copied=10.0), 1004.0)
    assert found is not None
    assert found.metric == "errors"
    run = Run(KEY, OWN, PLAN, 1000.0, {}, Judge(PLAN), [], [], 0)
    assert await at_once(run, questions(all_bad=True), subject(chosen=True), 1004.0) is None


def test_a_record_says_of_each_look_what_reached_the_version_and_is_judged_the_same_again():
    rows = {"errors": Counts(1, 50, 4, 500), "floor": Counts(1, 50, 4, 500)}
    written = [
        Look(1, 1000.0, 1005.0, 0.0, rows, copied=10.0),
        Look(2, 1005.0, 1010.0, 0.0, {"floor": rows["floor"]}, chosen=True),
        Look(3, 1010.0, 1015.0, 5.0, rows),
    ]
    raws = [look_to_raw(look) for look in written]
    assert [(raw.get("copies"), raw.get("byHeader")) for raw in raws] == [(10, None), (None, True), (None, None)]
    page = {
        "metadata": {"name": OWN},
        "spec": {"startedAt": "1970-01-01T00:16:40Z", "method": plan_to_raw(PLAN)},
        "status": {"looks": raws},
    }
    again = run_of(KEY, OWN, [page])
    assert again.looks == written
    assert again.turns == [1005.0, 1010.0]
    assert again.judge.evidence() == Judge.over(PLAN, written).evidence()
    errors = next(metric for metric in again.judge.evidence().metrics if metric.name == "errors")
    assert errors.copied == rows["errors"]


async def test_a_limit_that_stable_exceeds_too_convicts_nobody_while_a_fresh_baseline_has_no_work():
    waiting = subject(chosen=True, baseline=baseline_name(STABLE, CANARY, 1))
    found = await looks(waiting)
    assert {(look.baseline, look.rows["floor"].stable_total) for look in found} == {(None, 500)}


@pytest.mark.parametrize("lost", ["the process", "the source, as the second record began"])
async def test_the_record_after_a_switch_begins_with_what_the_one_before_it_learnt(lost):
    api = FakeApi(time.time)
    runs, source = RunStore(FakeClient(api, Weather, "a")), Source()
    learnt = replace(PLAN, settle=9.0)

    async def begin():
        return learnt, {"errors": 500.0}

    async def asked(*_):
        if source.out:
            raise MetricTroubleError(Reason.SOURCE_OUTAGE, "refused")
        return tuple(replace(one, provider=source) for one in questions())

    first = await runs.open(
        KEY,
        PREVIEW,
        subject={"canaryRevision": CANARY, "attempt": 1},
        began=900.0,
        started=1000.0,
        owner=None,
        begin=begin,
    )
    assert first.plan.settle == 9
    switched = subject(100.0, since=1100.0, switches=True, run=PREVIEW)
    switched = replace(switched, analysis=replace(switched.analysis, advanced=Advanced()))
    if lost == "the process":
        runs = RunStore(FakeClient(api, Weather, "b"))
    opening = Opening(runs, asked, time.time)
    if lost != "the process":
        source.out = True
        with pytest.raises(MetricTroubleError):
            await opening.open(switched)
        source.out = False
    second = await opening.open(switched)
    assert (second.name, second.plan.settle, second.baseline_rates["errors"]) == (OWN, 9, 500)
    verdicts = {one["metadata"]["name"]: one["status"]["verdict"] for one in api.objects(ANALYSIS_RUNS.path())}
    assert verdicts == {PREVIEW: "switched", OWN: "undecided"}


async def test_an_attempt_that_ends_before_a_pass_has_named_the_record_of_after_the_switch_closes_that_one():
    api = FakeApi(time.time)
    runs = RunStore(FakeClient(api, Weather, "a"))

    async def begin():
        return PLAN, {}

    described = {"canaryRevision": CANARY, "attempt": 1}
    for name, started in ((PREVIEW, 1000.0), (OWN, 1100.0)):
        await runs.open(KEY, name, subject=described, began=900.0, started=started, owner=None, begin=begin)
        if name == PREVIEW:
            await runs.close(KEY, PREVIEW, "switched", "")
    await runs.close(KEY, PREVIEW, "regression", "its pods crash")
    verdicts = {one["metadata"]["name"]: one["status"]["verdict"] for one in api.objects(ANALYSIS_RUNS.path())}
    assert verdicts == {PREVIEW: "switched", OWN: "regression"}
