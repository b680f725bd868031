"""How often, and for what, a source is asked."""

import itertools
import re
from types import SimpleNamespace
from typing import cast

import pytest

from controller.analysis.asking import ask_in_halves
from controller.analysis.heartbeat import Heartbeat
from controller.analysis.measuring import Measuring, heartbeats
from controller.analysis.past import baseline_counts
from controller.analysis.provisional import at_once
from controller.analysis.record import Run
from controller.analysis.runs import RunStore
from controller.analysis.sources import MetricTroubleError, Question, Sources
from controller.analysis.subject import Subject
from controller.analysis.thresholds import chosen, judged
from controller.api.analysis import Analysis
from controller.api.status import Attempt, Clock, Status
from controller.api.times import as_datetime
from controller.kube.client import KubeClient
from controller.kube.objects import Key
from controller.ports import NoData, Query, Row, Samples, SourceOutageError, Window
from controller.stats.counts import NOTHING, Counts
from controller.stats.judge import Judge
from controller.stats.method import AnalysisPlan, MetricPlan

NOBODY = cast("KubeClient", None)
"""Nothing is written here."""
STABLE, CANARY = "aaaaaaaaaa", "bbbbbbbbbb"
PLAN = AnalysisPlan(0.01, 5, (MetricPlan("errors", 1.1),))


class Source:
    """Counts how often it is asked; everything the canary answers is bad."""

    asked = 0
    beats = True
    out = False

    async def has_rows(self, query, window):
        self.asked += 1
        if self.out:
            raise SourceOutageError("refused")
        assert (window.end - window.start).total_seconds() == 30
        return self.beats

    async def query(self, query, window):
        self.asked += 1
        return Samples((Row(CANARY, 10, 10), Row(STABLE, 0, 90)))

    async def close(self):
        pass


async def test_provisional_counts_are_asked_for_once_a_second_and_what_they_said_stays_true_meanwhile():
    source, run = Source(), Run(Key("shop", "web"), "web-1", PLAN, 100.0, {}, Judge(PLAN), [], [], 0)
    questions = (Question("errors", Query("flux", ""), source, warm_up=False),)
    status = Status(stable=STABLE, attempt=Attempt(CANARY, Clock(0.0)), weight=10.0, weight_since=100.0)
    subject = Subject(Key("shop", "web"), Analysis(), status, None, CANARY)
    passes = [await at_once(run, questions, subject, 101.0 + tenth / 10) for tenth in range(25)]
    assert source.asked == 3
    assert all(found is not None and found.metric == "errors" for found in passes)


def questions_of(*heartbeats):
    return [Question("errors", Query("flux", ""), one.provider, warm_up=False, heartbeat=one) for one in heartbeats]


async def test_one_answer_of_a_heartbeat_does_for_all_who_ask_within_a_look():
    source = Source()
    heartbeat = Heartbeat("shop/default", source, Query("flux", ""), 30.0)
    for _ in range(3):
        assert await heartbeats(questions_of(heartbeat, heartbeat), 1000.0, 5.0) is None
    assert source.asked == 1
    assert await heartbeats(questions_of(heartbeat), 1005.0, 5.0) is None
    assert source.asked == 2


async def test_a_heartbeat_that_is_not_seen_is_an_outage_and_ends_with_the_next_beat():
    source = Source()
    source.beats = False
    questions = questions_of(Heartbeat("shop/default", source, Query("flux", ""), 30.0))
    trouble = await heartbeats(questions, 1000.0, 5.0)
    assert trouble is not None
    assert trouble.reason == "SourceOutage"
    assert trouble.message.startswith("MetricSource shop/default: no heartbeat for 30 s")
    source.beats = True
    assert await heartbeats(questions, 1004.0, 5.0) == trouble
    assert await heartbeats(questions, 1005.0, 5.0) is None


async def test_one_dead_source_of_two_is_enough():
    alive, dead = Source(), Source()
    dead.out = True
    both = questions_of(*(Heartbeat(str(one), one, Query("flux", ""), 30.0) for one in (alive, dead)))
    trouble = await heartbeats(both, 1000.0, 5.0)
    assert trouble is not None
    assert (trouble.reason, "refused" in trouble.message) == ("SourceOutage", True)


async def test_a_source_without_a_heartbeat_is_not_asked_for_one():
    source = Source()
    question = Question("errors", Query("flux", ""), source, warm_up=False)
    assert await heartbeats([question], 1000.0, 5.0) is None
    assert source.asked == 0


def latency(always="0.25"):
    return Question("latency", Query("flux", ""), Source(), warm_up=True, always=always)


def test_the_promise_has_to_be_one_of_the_thresholds_there_are():
    past = {"latency/0.1": (10, 100), "latency/1": (0, 100)}
    with pytest.raises(MetricTroubleError, match=r"metric latency: 0.25 s is not one of the thresholds: 0.1, 1"):
        chosen([latency()], past)
    assert chosen([latency("0.1")], past)["latency"].edges == ("0.1", "1")
    assert chosen([latency()], {})["latency"].edges == ("0.25",), "nobody has called yet"


def test_a_metric_with_thresholds_takes_no_part_of_another_one_with_a_similar_name():
    past = {"latency/0.25": (10, 100), "latency-tail/1": (0, 100)}
    assert chosen([latency()], past)["latency"].edges == ("0.25",)


def test_only_the_chosen_thresholds_are_judged_and_one_without_a_row_had_nothing():
    plan = AnalysisPlan(0.01, 5, tuple(MetricPlan(name, 1.1) for name in ("errors", "latency/0.1", "latency/0.25")))
    rows = {"latency/0.1": Counts(1, 10, 1, 90), "latency/1": Counts(0, 10, 0, 90)}
    assert judged(plan, [latency()], rows) == {"latency/0.1": Counts(1, 10, 1, 90), "latency/0.25": NOTHING}


class Rows(Source):
    """Answers with these rows."""

    def __init__(self, *rows):
        self._rows = rows

    async def query(self, query, window):
        return Samples(self._rows)


class Resolved(Sources):
    """All metrics are these."""

    def __init__(self, questions):
        self._questions = questions

    async def questions(self, key, metrics, *, stable, canary):
        return self._questions


@pytest.mark.parametrize(
    ("always", "threshold", "problem"),
    [
        ("0.25", "", "metric latency: a row has no threshold, and its template says `thresholds`"),
        ("", "0.25", "metric latency: a row has the threshold 0.25, and its template does not say `thresholds`"),
    ],
)
async def test_rows_have_a_threshold_where_their_template_says_so_and_nowhere_else(always, threshold, problem):
    source = Rows(Row(STABLE, 0, 90, threshold))
    questions = (Question("latency", Query("flux", ""), source, warm_up=False, always=always),)
    with pytest.raises(MetricTroubleError, match=re.escape(problem)):
        await baseline_counts(Resolved(questions), Key("shop", "web"), (), Status(stable=STABLE), seconds=60)


@pytest.mark.parametrize(
    ("halves", "half", "problem"),
    [
        (True, "", "metric latency: a row has no half, and its template says `halves`"),
        (False, "a", "metric latency: a row has the half a, and its template does not say `halves`"),
    ],
)
async def test_rows_have_a_half_where_their_template_says_so_and_nowhere_else(halves, half, problem):
    source = Rows(Row(STABLE, 0, 90, half=half))
    questions = (Question("latency", Query("flux", ""), source, warm_up=False, halves=halves),)
    with pytest.raises(MetricTroubleError, match=re.escape(problem)):
        await baseline_counts(Resolved(questions), Key("shop", "web"), (), Status(stable=STABLE), seconds=60)


async def test_halves_are_added_up_and_stables_are_kept_beside():
    rows = [(CANARY, 3, 10, "a"), (STABLE, 1, 40, "a"), (STABLE, 2, 50, "b")]
    source = Rows(*(Row(revision, bad, total, "1", half) for revision, bad, total, half in rows))
    question = Question("latency", Query("flux", ""), source, warm_up=False, always="1", halves=True)
    window = Window(as_datetime(100.0), as_datetime(105.0))
    found = await ask_in_halves([question], window, stable=STABLE, canary=CANARY)
    assert found.rows == {"latency/1": Counts(3, 10, 3, 90)}
    assert found.halves == {"latency/1": Counts(1, 40, 2, 50)}


@pytest.mark.parametrize("total", [10**9 + 1, 2**53])
async def test_more_units_than_a_look_may_have_are_a_broken_metric_whichever_provider_counted_them(total):
    source = Rows(Row(CANARY, 0, 10), Row(STABLE, total // 2, total))
    question = Question("errors", Query("sql", ""), source, warm_up=False)
    window = Window(as_datetime(100.0), as_datetime(105.0))
    sentence = f"metric errors: revision {STABLE} has {total} units in one window, maximum is 10^9"
    with pytest.raises(MetricTroubleError, match=re.escape(sentence)):
        await ask_in_halves([question], window, stable=STABLE, canary=CANARY)


async def test_halves_that_are_too_many_together_are_a_broken_metric():
    source = Rows(Row(STABLE, 0, 6 * 10**8, half="a"), Row(STABLE, 0, 6 * 10**8, half="b"))
    question = Question("errors", Query("sql", ""), source, warm_up=False, halves=True)
    window = Window(as_datetime(100.0), as_datetime(105.0))
    with pytest.raises(MetricTroubleError, match="1200000000 units in one window"):
        await ask_in_halves([question], window, stable=STABLE, canary=CANARY)


class Recorder(Source):
    """Keeps the windows it is asked for; nobody is counted."""

    def __init__(self):
        self.windows = []

    async def query(self, query, window):
        self.windows.append((window.start.timestamp(), window.end.timestamp()))
        return NoData()


async def test_what_ripens_is_asked_for_later_in_windows_that_touch_and_never_hold_two_weights():
    errors, letters = Recorder(), Recorder()
    questions = (
        Question("errors", Query("flux", ""), errors, warm_up=False),
        Question("letters", Query("flux", ""), letters, warm_up=False, maturity=12.0),
    )
    plan = AnalysisPlan(0.01, 5, (MetricPlan("errors", 1.1), MetricPlan("letters", 1.1)), settle=1.0)
    run = Run(Key("shop", "web"), "web-1", plan, 1000.0, {}, Judge(plan), [], [], 0)
    measuring = Measuring(RunStore(NOBODY), Sources(NOBODY, cluster="", own_namespace=""))
    analysis = cast("Analysis", SimpleNamespace(interval=5.0, advanced=SimpleNamespace(warm_up=0.0)))
    first = Status(stable=STABLE, attempt=Attempt(CANARY, Clock(0.0)), weight=10.0, weight_since=1000.0)
    for now in range(1001, 1024):
        await measuring._catch_up(run, Subject(run.key, analysis, first, None, CANARY), questions, float(now))
    second = first.changed(weight=50.0, weight_since=1022.5)
    for now in range(1024, 1060):
        await measuring._catch_up(run, Subject(run.key, analysis, second, None, CANARY), questions, float(now))
    for asked, begin in ((errors.windows, 1000.0), (letters.windows, 1000.0)):
        assert asked[0][0] == begin
        assert all(before[1] == after[0] for before, after in itertools.pairwise(asked)), "they touch"
        assert not any(start < 1022.5 < end for start, end in asked), "one weight in each"
    assert errors.windows[-1][1] - letters.windows[-1][1] == 12.0
    assert [set(look.rows) for look in run.looks[:3]] == [{"errors"}, {"errors"}, {"errors"}]
    again = Run(Key("shop", "web"), "web-1", plan, 1000.0, {}, Judge(plan), [], [], 0)
    for look in run.looks:
        RunStore(NOBODY).add(again, look)
    assert again.turns == run.turns == [1022.5]


@pytest.mark.parametrize(
    ("scaled_up", "weight_since", "first"),
    [
        (None, 1000.0, 1000.0),
        (900.0, None, 1000.0),
        (1000.0, None, 1030.0),
        (985.0, 1005.0, 1035.0),
        (985.0, 960.0, 1015.0),
    ],
    ids=["no pods were added", "long ago", "just now", "their work came later", "their work came before"],
)
async def test_latency_is_compared_once_pods_have_had_work_for_the_warm_up(scaled_up, weight_since, first):
    """Pods that took 25 s to start had 5 s left of the 30."""
    latency, errors = Recorder(), Recorder()
    questions = (
        Question("latency", Query("flux", ""), latency, warm_up=True),
        Question("errors", Query("flux", ""), errors, warm_up=False),
    )
    plan = AnalysisPlan(0.01, 5, (MetricPlan("latency", 1.1), MetricPlan("errors", 1.1)), settle=1.0)
    run = Run(Key("shop", "web"), "web-1", plan, 1000.0, {}, Judge(plan), [], [], 0)
    measuring = Measuring(RunStore(NOBODY), Sources(NOBODY, cluster="", own_namespace=""))
    analysis = cast("Analysis", SimpleNamespace(interval=5.0, advanced=SimpleNamespace(warm_up=30.0)))
    attempt = Attempt(CANARY, Clock(0.0))
    status = Status(stable=STABLE, attempt=attempt, weight=10.0, weight_since=weight_since, scaled_up=scaled_up)
    for now in range(1001, 1060):
        await measuring._catch_up(run, Subject(run.key, analysis, status, None, CANARY), questions, float(now))
    assert (errors.windows[0][0], latency.windows[0][0]) == (1000.0, first)


@pytest.mark.parametrize(
    ("counts_clients", "sticky", "refused"), [(False, True, True), (True, True, False), (False, False, False)]
)
async def test_a_sticky_canary_is_judged_by_clients_alone(counts_clients, sticky, refused):
    class Known:
        async def questions(self, *_, **__):
            return (Question("errors", Query("flux", ""), Recorder(), warm_up=False, counts_clients=counts_clients),)

    measuring = Measuring(RunStore(NOBODY), cast("Sources", Known()))
    analysis = cast("Analysis", SimpleNamespace(metrics=()))
    subject = Subject(Key("shop", "web"), analysis, Status(stable=STABLE), None, CANARY, sticky=sticky)
    if not refused:
        assert len(await measuring._questions(subject, STABLE)) == 1
        return
    with pytest.raises(MetricTroubleError) as error:
        await measuring._questions(subject, STABLE)
    assert error.value.trouble.reason == "MetricInvalid"
    assert "metric errors: its template counts requests" in error.value.trouble.message


async def test_copies_are_requests_and_a_metric_that_counts_clients_is_refused():
    class Known:
        async def questions(self, *_, **__):
            return (Question("errors", Query("flux", ""), Recorder(), warm_up=False, counts_clients=True),)

    measuring = Measuring(RunStore(NOBODY), cast("Sources", Known()))
    analysis = cast("Analysis", SimpleNamespace(metrics=()))
    status = Status(stable=STABLE, attempt=Attempt(CANARY, Clock(0.0), copied=10.0))
    with pytest.raises(MetricTroubleError, match="copies are requests") as error:
        await measuring._questions(Subject(Key("shop", "web"), analysis, status, None, CANARY), STABLE)
    assert error.value.trouble.reason == "MetricInvalid"
