"""A version that drains keeps its pods as long as its metrics count work."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from controller.analysis.draining import DrainWatches
from controller.analysis.measuring import Measuring
from controller.analysis.runs import RunStore
from controller.analysis.sources import MetricTroubleError, Question, Sources
from controller.analysis.subject import Drain
from controller.api.analysis import Analysis
from controller.api.reasons import Reason
from controller.kube.client import KubeClient, KubeError
from controller.kube.objects import Key
from controller.ports import NoData, Query, Row, Samples, Window
from tests.unit.runtime.fault_world import loop_at

KEY = Key("shop", "web")
OLD, STABLE = "aaaaaaaaaa", "bbbbbbbbbb"
SWITCH, QUIET_S, SETTLE_S = 1000.0, 30.0, 2.0


def drain(**changes: Any) -> Drain:
    analysis = SimpleNamespace(interval=5.0, judging=("errors",), advanced=SimpleNamespace(settle=SETTLE_S))
    values = {"key": KEY, "analysis": cast("Analysis", analysis), "stable": STABLE, "old": (OLD,), "since": SWITCH}
    return Drain(**{**values, "quiet": QUIET_S, **changes})


class Counting:
    """A source whose old version has its last request at `until`, seconds since the epoch."""

    def __init__(self, until: float = SWITCH) -> None:
        self.until = until
        self.windows: list[Window] = []
        self.failure: Exception | None = None

    async def questions(self, key: Key, metrics: object, *, stable: str, canary: str) -> tuple[Question, ...]:
        if self.failure is not None:
            raise self.failure
        return (Question("errors", Query("Flux", canary), cast("Any", self), warm_up=False),)

    async def query(self, query: Query, window: Window) -> Samples | NoData:
        self.windows.append(window)
        rows = [Row(STABLE, 0, 100)]
        if window.start.timestamp() < self.until:
            rows.append(Row(OLD, 0, 3))
        return Samples(tuple(rows))


class World:
    def __init__(self, source: Counting) -> None:
        self.woken: list[float] = []
        sources = cast("Sources", source)
        measuring = Measuring(RunStore(cast("KubeClient", None)), sources)
        self.watches = DrainWatches(measuring, self.now, lambda _: self.woken.append(self.now()))

    def now(self) -> float:
        return SWITCH + asyncio.get_running_loop().time() - self.start

    async def begin(self) -> None:
        self.start = asyncio.get_running_loop().time()
        assert self.watches.is_quiet(KEY, drain()) is False


def play(source: Counting, story: Callable[[World], Awaitable[None]]) -> World:
    async def told() -> World:
        world = World(source)
        await world.begin()
        await story(world)
        world.watches.close()
        return world

    with asyncio.Runner(loop_factory=loop_at(SWITCH)) as runner:
        return runner.run(told())


async def minutes_pass(world: World, seconds: float = 300.0) -> None:
    await asyncio.sleep(seconds)


@pytest.mark.parametrize("last", [SWITCH, SWITCH + 4, SWITCH + 100])
def test_it_is_quiet_once_its_last_request_is_so_long_ago(last):
    world = play(Counting(last), minutes_pass)
    (woken,) = world.woken
    due = max(last, SWITCH) + QUIET_S + SETTLE_S
    assert due <= woken <= due + 5


def test_quiet_is_told_by_each_pass_after_it_was_seen():
    async def story(world: World) -> None:
        await asyncio.sleep(60)
        assert world.watches.is_quiet(KEY, drain()) is True

    play(Counting(), story)


@pytest.mark.parametrize(
    "failure", [MetricTroubleError(Reason.SOURCE_OUTAGE, "away"), KubeError(503, "ServiceUnavailable", "away")]
)
def test_a_source_that_does_not_say_keeps_the_pods(failure):
    source = Counting()
    source.failure = failure

    async def story(world: World) -> None:
        await asyncio.sleep(300)
        assert world.watches.is_quiet(KEY, drain()) is False
        source.failure = None
        await asyncio.sleep(10)
        assert world.watches.is_quiet(KEY, drain()) is True

    play(source, story)


def test_another_drain_is_watched_anew():
    async def story(world: World) -> None:
        await asyncio.sleep(60)
        assert world.watches.is_quiet(KEY, drain(since=world.now())) is False

    play(Counting(), story)


@pytest.mark.parametrize("nothing", [None, drain(old=())])
def test_where_nothing_drains_nothing_is_measured(nothing):
    source = Counting()

    async def story(world: World) -> None:
        assert world.watches.is_quiet(KEY, nothing) is None
        await asyncio.sleep(300)

    play(source, story)
    assert source.windows == []


def test_a_release_without_metrics_has_no_counts_to_wait_for():
    analysis = SimpleNamespace(interval=5.0, judging=(), advanced=SimpleNamespace(settle=None))

    async def story(world: World) -> None:
        assert world.watches.is_quiet(KEY, drain(analysis=cast("Analysis", analysis))) is None

    play(Counting(), story)
