"""What a pass finds of the analysis, and what it never finds."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from math import inf
from types import SimpleNamespace
from typing import Any, cast

import pytest

from controller.analysis.controller import AnalysisController
from controller.analysis.measuring import Measuring
from controller.analysis.record import Run
from controller.analysis.runs import RunStore
from controller.analysis.schedule import patience_s
from controller.analysis.sources import Question, Sources
from controller.analysis.subject import AnalysisResult, Subject
from controller.api.analysis import Analysis
from controller.api.status import Attempt, Clock, Status
from controller.kube.client import KubeClient, KubeError
from controller.kube.objects import Key
from controller.ports import NoData, Query
from controller.stats.judge import Judge
from controller.stats.method import AnalysisPlan, MetricPlan
from tests.unit.runtime.fault_world import loop_at

KEY = Key("shop", "web")
STABLE, CANARY, NEXT = "aaaaaaaaaa", "bbbbbbbbbb", "cccccccccc"
INTERVAL_S = 5.0
ANALYSIS = cast("Analysis", SimpleNamespace(interval=INTERVAL_S, advanced=SimpleNamespace(warm_up=0.0)))
NO_KUBE = cast("KubeClient", None)
"""Nothing is written here."""


def subject(canary: str = CANARY, *, number: int = 1, weight: float = 10.0, since: float = 1000.0) -> Subject:
    status = Status(
        stable=STABLE, attempt=Attempt(canary, Clock(900.0)), attempts=number, weight=weight, weight_since=since
    )
    return Subject(KEY, ANALYSIS, status, None, canary)


class Scripted(Measuring):
    """Hangs, fails or answers as it is told to; keeps what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[Subject, float]] = []
        self.answers = asyncio.Event()
        self.failing: Exception | None = None
        self.cancelled = 0

    async def measure(
        self, subject: Subject, now: float, *, weight_known_until: float = inf
    ) -> tuple[AnalysisResult, float | None]:
        self.asked.append((subject, weight_known_until))
        try:
            await self.answers.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.failing is not None:
            raise self.failing
        return AnalysisResult(run=f"web-{subject.target}-{subject.status.attempts}"), None

    async def provisional(self, subject: Subject, now: float) -> None:
        return None

    def forget(self, key: Key) -> None:
        return None


class World:
    def __init__(self) -> None:
        self.measuring = Scripted()
        self.woken: list[float] = []
        self.runs = RunStore(NO_KUBE)
        self.analysis = AnalysisController(self.measuring, self.runs, lambda: 2000.0, self._wake)

    def _wake(self, key: Key) -> None:
        assert key == KEY
        self.woken.append(asyncio.get_running_loop().time())

    def result(self, one: Subject | None, now: float = 2000.0) -> AnalysisResult:
        return self.analysis.result(KEY, one, now)


@asynccontextmanager
async def running() -> AsyncIterator[World]:
    world = World()
    task = asyncio.create_task(world.analysis.run())
    try:
        yield world
    finally:
        task.cancel()
        await asyncio.wait([task])


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_pass_finds_at_once_that_nothing_is_known_yet_and_is_woken_when_it_is():
    async with running() as world:
        assert world.result(subject()).pending
        await turns()
        assert world.woken == []
        world.measuring.answers.set()
        await turns()
        assert len(world.woken) == 1
        assert world.result(subject()).run == "web-bbbbbbbbbb-1"


@pytest.mark.parametrize("later", [subject(NEXT, number=2), subject(number=2)], ids=["another version", "a retry"])
async def test_no_result_outlives_its_attempt(later):
    async with running() as world:
        world.measuring.answers.set()
        world.result(subject())
        await turns()
        world.measuring.answers.clear()
        assert world.result(later) == AnalysisResult(pending=True)


async def test_what_is_still_asked_for_an_attempt_that_is_over_ends_and_the_next_one_does_not_wait_for_it():
    async with running() as world:
        world.result(subject())
        await turns()
        world.result(subject(NEXT, number=2))
        await turns()
        assert world.measuring.cancelled == 1
        assert [one.target for one, _ in world.measuring.asked] == [CANARY, NEXT]
        world.measuring.answers.set()
        await turns()
        assert world.result(subject(NEXT, number=2)).run == "web-cccccccccc-2"


async def test_where_nothing_is_analyzed_nothing_is_known_and_nothing_asked():
    async with running() as world:
        world.result(subject())
        await turns()
        assert world.result(None) == AnalysisResult()
        await turns()
        assert world.measuring.cancelled == 1
        assert (world.analysis.waiting, world.analysis.active) == (0, 0)


async def test_no_window_ends_while_a_pass_may_be_changing_the_weight():
    async with running() as world:
        world.result(subject(), now=1990.0)
        await turns()
        world.measuring.answers.set()
        await turns()
        world.analysis.pass_done(KEY, subject().status)
        world.result(subject(weight=20.0, since=1991.0), now=1992.0)
        await turns()
        world.analysis.pass_done(KEY, subject(weight=50.0, since=1993.0).status)
        world.result(subject(weight=20.0, since=1991.5), now=1994.0)
        await turns()
        assert [until for _, until in world.measuring.asked] == [1990.0, 1992.0, 1994.0]
        world.analysis.pass_done(KEY, subject(weight=20.0, since=1991.5).status)
        world.analysis._queue.add(KEY)
        await turns()
        assert world.measuring.asked[-1][1] == inf


async def test_two_changes_of_the_weight_between_two_measurements_are_both_known():
    async with running() as world:
        for weight, since in ((10.0, 1000.0), (20.0, 1002.0), (50.0, 1003.0)):
            world.result(subject(weight=weight, since=since))
            world.result(subject(weight=weight, since=since))
        await turns()
        (asked, _) = world.measuring.asked[-1]
        assert [(change.since, change.weight) for change in asked.weights] == [
            (1000.0, 10.0),
            (1002.0, 20.0),
            (1003.0, 50.0),
        ]


def in_virtual_time(story: Any) -> None:
    with asyncio.Runner(loop_factory=loop_at(0.0)) as runner:
        runner.run(story())


def test_an_answer_that_takes_too_long_is_an_outage_and_wakes_the_pass():
    async def story() -> None:
        async with running() as world:
            world.result(subject())
            await asyncio.sleep(0.1)
            patience = patience_s(INTERVAL_S)
            assert world.result(subject()).trouble is None
            await asyncio.sleep(patience)
            assert world.woken
            late = world.result(subject())
            assert not late.pending
            assert late.trouble is not None
            assert late.trouble.reason == "SourceOutage"

    in_virtual_time(story)


def test_a_record_that_cannot_be_written_is_an_outage_too():
    """Else steps would go on by their clocks, with nothing measured."""

    async def story() -> None:
        async with running() as world:
            world.measuring.failing = KubeError(403, "Forbidden", "analysisruns is forbidden")
            world.measuring.answers.set()
            world.result(subject())
            await asyncio.sleep(2 * patience_s(INTERVAL_S))
            found = world.result(subject()).trouble
            assert found is not None
            assert found.message == "the AnalysisRun cannot be read or written: analysisruns is forbidden"
            world.measuring.failing = None
            await asyncio.sleep(60)
            assert world.result(subject()).trouble is None

    in_virtual_time(story)


async def test_what_is_unexpected_is_said_and_tried_again_and_ends_nothing():
    async with running() as world:
        world.measuring.failing = ValueError("surprise")
        world.measuring.answers.set()
        world.result(subject())
        await turns()
        found = world.result(subject()).trouble
        assert found is not None
        assert found.message == "the analysis failed: ValueError: surprise"
        world.measuring.failing = None
        async with asyncio.timeout(10):
            while world.result(subject()).trouble is not None:  # noqa: ASYNC110 - a pass reads, and awaits nothing
                await asyncio.sleep(0.01)


class Recorder:
    """Keeps the windows it is asked for; its units are not there."""

    def __init__(self) -> None:
        self.windows: list[tuple[float, float]] = []

    async def has_rows(self, query: Query, window: Any) -> bool:
        return True

    async def query(self, query: Query, window: Any) -> NoData:
        self.windows.append((window.start.timestamp(), window.end.timestamp()))
        return NoData()

    async def close(self) -> None:
        return None


async def test_windows_touch_and_hold_one_weight_each_whatever_was_changed_before_they_were_asked_for():
    source = Recorder()
    questions = (Question("errors", Query("flux", ""), source, warm_up=False),)
    plan = AnalysisPlan(0.01, 5, (MetricPlan("errors", 1.1),), settle=1.0)
    run = Run(KEY, "web-1", plan, 1000.0, {}, Judge(plan), [], [], 0)
    measuring = Measuring(RunStore(NO_KUBE), Sources(NO_KUBE, cluster="", own_namespace=""))
    first = subject(weight=10.0, since=1000.0)
    second = subject(weight=20.0, since=1001.5).after(first)
    third = subject(weight=50.0, since=1003.0).after(second)
    await measuring._catch_up(run, third, questions, 1020.0, 1012.0)
    assert source.windows == [(1000.0, 1001.5), (1001.5, 1003.0), (1003.0, 1008.0)], "none ends after 1012"
    assert [look.weight for look in run.looks] == [10.0, 20.0, 50.0]
    await measuring._catch_up(run, replace(third), questions, 1020.0)
    assert all(before[1] == after[0] for before, after in itertools.pairwise(source.windows))
    assert len(run.looks) == 5


async def test_no_look_is_added_to_a_run_that_was_closed_while_its_source_was_asked():
    plan = AnalysisPlan(0.01, 5, (MetricPlan("errors", 1.1),), settle=1.0)
    run = Run(KEY, "web-1", plan, 1000.0, {}, Judge(plan), [], [], 0)

    class Closing(Recorder):
        async def query(self, query: Query, window: Any) -> NoData:
            run.closed = True
            return await super().query(query, window)

    source = Closing()
    questions = (Question("errors", Query("flux", ""), source, warm_up=False),)
    measuring = Measuring(RunStore(NO_KUBE), Sources(NO_KUBE, cluster="", own_namespace=""))
    await measuring._catch_up(run, subject(), questions, 1020.0)
    assert (len(source.windows), run.looks) == (1, [])
