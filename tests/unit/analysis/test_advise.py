"""A metric that only advises keeps nothing waiting: no look, no step, no drain."""

import asyncio
import time
from dataclasses import replace
from typing import Any, cast

import pytest

from controller.analysis import advisers, asking
from controller.analysis.heartbeat import Heartbeat
from controller.analysis.measuring import Measuring
from controller.analysis.opening import Opening
from controller.analysis.provisional import at_once
from controller.analysis.record import Run
from controller.analysis.runs import RunStore
from controller.analysis.sources import MetricTroubleError, Question, Sources
from controller.analysis.subject import Drain, Subject
from controller.analysis.thresholds import chosen
from controller.analysis.verdict import result_of
from controller.api.analysis import Advanced, Analysis, Margin, Metric
from controller.api.status import Attempt, Clock, Status
from controller.kube.client import KubeClient
from controller.kube.objects import Key
from controller.ports import BrokenMetricError, Query, Row, Samples, SourceOutageError
from controller.stats.judge import Judge
from controller.stats.method import AnalysisPlan, MetricPlan

NOBODY = cast("KubeClient", None)
STABLE, CANARY = "aaaaaaaaaa", "bbbbbbbbbb"
KEY = Key("shop", "web")
PLAN = AnalysisPlan(0.01, 5, (MetricPlan("errors", 1.1), MetricPlan("sign-ups", 1.1, advises=True)), settle=1.0)
METRICS = (
    Metric("errors", "http", {}, Margin(), "spec"),
    Metric("sign-ups", "sign-ups", {}, Margin(), "spec", advises=True),
)


class Source:
    """Stable has 100 units a second and the canary ten; or it fails."""

    def __init__(self, failure: Any = None, *, all_bad: bool = False, times: int = 1) -> None:
        self.failure, self.all_bad, self.times = failure, all_bad, times
        self.asked = 0

    async def query(self, query, window):
        self.asked += 1
        if self.failure == "hang":
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        seconds = round((window.end - window.start).total_seconds()) * self.times
        return Samples((Row(CANARY, 10 * seconds * self.all_bad, 10 * seconds), Row(STABLE, 0, 100 * seconds)))

    async def has_rows(self, query, window):
        raise AssertionError("nobody asks for its heartbeat")

    async def close(self):
        pass


def questions(errors: Source, sign_ups: Source, **more: Any) -> list[Question]:
    return [
        Question("errors", Query("flux", ""), errors, warm_up=False),
        Question("sign-ups", Query("flux", ""), sign_ups, warm_up=False, advises=True, **more),
    ]


def subject() -> Subject:
    status = Status(stable=STABLE, attempt=Attempt(CANARY, Clock(900.0)), attempts=1, weight=10.0, weight_since=1000.0)
    return Subject(KEY, Analysis(interval=5.0, metrics=METRICS, advanced=Advanced(settle=1.0)), status, None, CANARY)


def a_run(plan: AnalysisPlan = PLAN) -> Run:
    return Run(KEY, "web-1", plan, 1000.0, {}, Judge(plan), [], [], 0)


def measuring() -> Measuring:
    return Measuring(RunStore(NOBODY), Sources(NOBODY, cluster="", own_namespace=""))


FAILURES = {
    "outage": (SourceOutageError("refused"), "refused"),
    "broken": (BrokenMetricError("column bad is -1"), "column bad is -1"),
    "hangs": ("hang", "no answer within 0.05 s"),
    "a defect": (ValueError("odd"), "odd"),
}


@pytest.mark.parametrize(("failure", "why"), FAILURES.values(), ids=FAILURES)
async def test_without_an_answer_looks_are_made_of_the_metrics_that_judge(monkeypatch, failure, why):
    monkeypatch.setattr(asking, "ADVICE_S", 0.05)
    run, errors, sign_ups = a_run(), Source(), Source(failure)
    asked = questions(errors, sign_ups)
    assert await measuring()._catch_up(run, subject(), asked, 1011.0) is None
    assert [set(look.rows) for look in run.looks] == [{"errors"}, {"errors"}]
    assert sign_ups.asked == 1, "one that hangs delays one look, and not each of them"
    result = result_of(subject(), run, asked, None)
    assert result.unmeasured == f"metric sign-ups advises, and is not measured: {why}"
    assert result.trouble is None
    sign_ups.failure = None
    assert await measuring()._catch_up(run, subject(), asked, 1011.0 + advisers.AGAIN_S) is None
    assert set(run.looks[-1].rows) == {"errors", "sign-ups"}
    assert result_of(subject(), run, asked, None).unmeasured == ""


async def test_a_metric_that_judges_keeps_its_window_due():
    run, errors = a_run(), Source(SourceOutageError("refused"))
    found = await measuring()._catch_up(run, subject(), questions(errors, Source()), 1011.0)
    assert found is not None
    assert found.reason == "SourceOutage"
    assert run.looks == []


async def test_a_slow_judging_metric_is_waited_for_as_ever(monkeypatch):
    monkeypatch.setattr(asking, "ADVICE_S", 0.01)
    errors, began = Source(), time.monotonic()
    query = errors.query

    async def slow(*window):
        await asyncio.sleep(0.1)
        return await query(*window)

    errors.query = slow  # type: ignore[method-assign]
    run = a_run()
    assert await measuring()._catch_up(run, subject(), questions(errors, Source()), 1006.0) is None
    assert time.monotonic() - began >= 0.1
    assert set(run.looks[0].rows) == {"errors", "sign-ups"}


async def test_a_count_that_might_end_the_process_is_left_out_where_it_only_advises():
    run, sign_ups = a_run(), Source(times=10**5)
    asked = questions(Source(), sign_ups)
    assert await measuring()._catch_up(run, subject(), asked, 1006.0) is None
    assert [set(look.rows) for look in run.looks] == [{"errors"}]
    assert "maximum is 10^7 where a metric advises" in result_of(subject(), run, asked, None).unmeasured


async def test_the_fast_path_asks_no_advising_metric_and_takes_nothing_back_for_one():
    run, sign_ups = a_run(), Source(all_bad=True)
    assert await at_once(run, questions(Source(), sign_ups), subject(), 1002.0) is None
    assert sign_ups.asked == 0
    run = a_run()
    found = await at_once(run, questions(Source(all_bad=True), sign_ups), subject(), 1002.0)
    assert found is not None
    assert found.metric == "errors"


async def test_missing_units_of_an_advising_metric_are_no_gap_and_its_share_is_no_lag():
    class Nothing(Source):
        async def query(self, query, window):
            return Samples((Row(STABLE, 0, 10_000),))

    run, asked = a_run(), questions(Source(), Nothing(), at_router=True)
    assert await measuring()._catch_up(run, subject(), asked, 1041.0) is None
    assert len(run.looks) == 8
    result = result_of(subject(), run, asked, None)
    assert (result.trouble, result.share_lag) == (None, "")


async def test_the_heartbeat_of_its_source_is_not_asked_for():
    class Idle(Source):
        async def query(self, query, window):
            return Samples(())

    idle = Idle()
    beating = questions(Source(), idle, heartbeat=Heartbeat("shop/crm", idle, Query("flux", ""), 30.0))
    run = a_run()
    assert await measuring()._catch_up(run, subject(), beating, 1006.0) is None
    assert len(run.looks) == 1


async def test_a_drain_is_watched_by_the_metrics_that_judge():
    wanted = []

    class Known:
        async def questions(self, key, metrics, **_):
            wanted.extend(metrics)
            return ()

    analysis = Analysis(interval=5.0, metrics=METRICS, advanced=Advanced(settle=1.0))
    drain = Drain(KEY, analysis, STABLE, (CANARY,), 1000.0, 30.0)
    assert await Measuring(RunStore(NOBODY), cast("Sources", Known())).was_quiet(drain, 1040.0)
    assert wanted == [METRICS[0]]


class NoTemplates:
    async def find(self, *_):
        return None


async def test_a_template_that_is_not_there_is_said_and_stops_nothing():
    sources = Sources(cast("KubeClient", NoTemplates()), cluster="c", own_namespace="pointsman")
    try:
        (question,) = await sources.questions(KEY, METRICS[1:], stable=STABLE, canary=CANARY)
        run, asked = a_run(), [questions(Source(), Source())[0], question]
        assert await measuring()._catch_up(run, subject(), asked, 1006.0) is None
        assert len(run.looks) == 1
        said = result_of(subject(), run, asked, None).unmeasured
        assert said.startswith("metric sign-ups advises, and is not measured: ")
        assert "no MetricTemplate 'sign-ups' in namespace shop or pointsman" in said
        with pytest.raises(MetricTroubleError):
            await sources.questions(KEY, METRICS[:1], stable=STABLE, canary=CANARY)
    finally:
        await sources.close()


async def test_of_a_sticky_canary_a_metric_that_counts_requests_is_not_measured():
    class Known:
        async def questions(self, *_, **__):
            return (questions(Source(), Source())[1],)

    one = replace(subject(), sticky=True)
    (question,) = await Measuring(RunStore(NOBODY), cast("Sources", Known()))._questions(one, STABLE)
    with pytest.raises(BrokenMetricError, match="its template counts requests"):
        await question.provider.query(question.query, cast("Any", None))


def test_a_mode_that_changes_in_mid_release_counts_from_the_next_one_on():
    run = a_run()
    judging = replace(questions(Source(), Source())[1], advises=False)
    assert [one.advises for one in advisers.as_planned([judging], run)] == [True]
    added = Question("clicks", Query("flux", ""), Source(), warm_up=False, advises=True)
    assert "no test in this rollout" in advisers.sentence(run, [added])


def test_a_promise_that_is_no_threshold_breaks_only_a_metric_that_judges():
    past = {"slow/0.1": (10, 100), "slow/1": (0, 100)}
    question = Question("slow", Query("flux", ""), Source(), warm_up=False, always="0.25", advises=True)
    assert "0.25" in chosen([question], past)["slow"].edges
    with pytest.raises(MetricTroubleError):
        chosen([replace(question, advises=False)], past)


async def test_too_many_tests_leave_out_those_that_advise():
    many = tuple(MetricPlan(f"slow/{edge}", 1.1, advises=True) for edge in range(40))
    opening = Opening(RunStore(NOBODY), cast("Any", None), time.time)
    plan = await opening._controlled(KEY, replace(PLAN, metrics=(PLAN.metrics[0], *many)), [])
    assert [metric.name for metric in plan.metrics] == ["errors"]
