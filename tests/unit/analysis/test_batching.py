"""Many Releases' counts in one query, and each as if it had asked by itself."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import looptime
import pytest

from controller.analysis import batching
from controller.analysis.batching import Batching
from controller.analysis.limited import Limited
from controller.ports import BrokenMetricError, NoData, Query, Row, Samples, SourceOutageError, Window
from controller.providers.joint import MARKS, JoinableQuery, parted
from tests.e2e.patience import until

START = datetime(2030, 1, 1, tzinfo=UTC)
LOOK = Window(START, START + timedelta(seconds=5))


def revision(number: int) -> str:
    return "".join("abcdefghij"[int(digit)] for digit in f"{number:010d}")


def window_until(seconds: float) -> Window:
    return Window(START, START + timedelta(seconds=seconds))


def by_a_clock_that_jumps(story: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=lambda: looptime.new_event_loop(noop_cycles=0)) as runner:
        runner.run(story)


class Source:
    """Counts by revision. Whoever names one of `hangs` or `broken` makes the whole query so."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[Row, ...]] = {}
        self.asked: list[list[str]] = []
        self.ended: list[list[str]] = []
        self.hangs: set[str] = set()
        self.broken: set[str] = set()
        self.most = 1_000
        self.out = False
        self.seconds = 0.0

    async def query(self, query: Query, window: Window) -> Samples | NoData:
        del window
        whose = re.findall(r"[a-j]{10}", query.text)
        self.asked.append(whose)
        try:
            await asyncio.sleep(self.seconds)
            if self.hangs & set(whose):
                await asyncio.Event().wait()
        finally:
            self.ended.append(whose)
        if self.out:
            raise SourceOutageError("out")
        if self.broken & set(whose) or len(whose) > self.most:
            raise BrokenMetricError("broken")
        found = tuple(row for name in whose for row in self.rows.get(name, ()))
        return Samples(found) if found else NoData()

    async def has_rows(self, query: Query, window: Window) -> bool:
        return isinstance(await self.query(query, window), Samples)

    async def close(self) -> None:
        return None

    @property
    def sizes(self) -> list[int]:
        return sorted(map(len, self.asked))


def of_release(number: int, *, stable: str = "", template: str = "q") -> JoinableQuery:
    before, after = MARKS["alternatives"]
    query = parted("flux", f"{template} {before}{stable} {revision(number)}{after}")
    assert isinstance(query, JoinableQuery)
    return JoinableQuery(query.language, query.text, query.around, query.parts, (stable, revision(number)))


@asynccontextmanager
async def asking() -> AsyncIterator[tuple[Source, Batching]]:
    source = Source()
    batched = Batching(Limited(source))
    yield source, batched
    async with asyncio.timeout(5):
        await batched.close()
    assert len(source.ended) == len(source.asked), "a query outlives its source"


async def all_of(batched: Batching, numbers: range, window: Window = LOOK, **options: Any) -> list[Any]:
    queries = [of_release(number, **options) for number in numbers]
    return await asyncio.gather(*(batched.query(query, window) for query in queries), return_exceptions=True)


async def test_many_ask_once_and_each_gets_its_own_rows():
    async with asking() as (source, batched):
        source.rows = {revision(number): (Row(revision(number), number, 100),) for number in range(1, 30)}
        found = await all_of(batched, range(30))
        assert found == [NoData(), *(Samples((Row(revision(number), number, 100),)) for number in range(1, 30))]
        assert source.sizes == [30]


@pytest.mark.parametrize(
    "second",
    [
        lambda batched: batched.query(of_release(2, template="other"), LOOK),
        lambda batched: batched.query(of_release(2), Window(LOOK.start, LOOK.end + timedelta(microseconds=1))),
        lambda batched: batched.query(of_release(2, stable=revision(1)), LOOK),
        lambda batched: batched.query(Query("flux", revision(2)), LOOK),
    ],
    ids=["another template", "another window", "a revision in common", "no mark"],
)
async def test_what_differs_is_asked_apart(second: Callable[[Batching], Any]):
    async with asking() as (source, batched):
        await asyncio.gather(batched.query(of_release(1), LOOK), second(batched))
        assert len(source.asked) == 2


async def test_no_batch_grows_beyond_its_bounds():
    async with asking() as (source, batched):
        await all_of(batched, range(batching.MOST_RELEASES + 20))
        assert source.sizes == [20, batching.MOST_RELEASES]


async def test_one_that_is_broken_breaks_no_other_and_is_asked_alone_from_then_on():
    async with asking() as (source, batched):
        source.broken = {revision(3)}
        for _ in range(2):
            found = await all_of(batched, range(10))
            assert [isinstance(one, BrokenMetricError) for one in found] == [number == 3 for number in range(10)]
            assert all(one == NoData() for number, one in enumerate(found) if number != 3)
        assert source.sizes == [1] * 11 + [9, 10]


async def test_one_that_hangs_delays_no_other_but_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(batching, "PATIENCE_S", 0.1)
    async with asking() as (source, batched):
        source.hangs = {revision(3)}
        for expected in ([1] * 10 + [10], [1] * 11 + [9, 10]):
            queries = [asyncio.ensure_future(batched.query(of_release(number), LOOK)) for number in range(10)]
            others = [query for number, query in enumerate(queries) if number != 3]
            async with asyncio.timeout(10):
                assert await asyncio.gather(*others) == [NoData()] * 9
            assert not queries[3].done()
            queries[3].cancel()
            await asyncio.wait(queries)
            assert source.sizes == expected


def test_a_source_that_is_only_slow_is_not_made_slower():
    """By a clock that jumps: a busy machine is slow as well."""

    async def story():
        async with asking() as (source, batched):
            source.rows = {revision(number): (Row(revision(number), number, 100),) for number in range(10)}
            source.seconds = 1.5 * batching.PATIENCE_S
            for expected in ([1] * batching.AT_ONCE + [10], [10], [10]):
                before = len(source.asked)
                assert all(isinstance(one, Samples) for one in await all_of(batched, range(10)))
                assert sorted(map(len, source.asked[before:])) == expected
            source.seconds = 0.0
            await all_of(batched, range(10))
            before, source.hangs = len(source.asked), {revision(4)}
            loop = asyncio.get_running_loop()
            began, hanging = loop.time(), asyncio.create_task(all_of(batched, range(10)))
            await until(lambda: len(source.asked) > before + 1, "each asks alone")
            assert loop.time() - began < 1.2 * batching.PATIENCE_S, "each asks alone as soon as at first"
            hanging.cancel()
            await asyncio.wait([hanging])

    by_a_clock_that_jumps(story())


class OneCore(Source):
    """Its core is shared by all that is asked: 20 ms for a query, and 2 for each whom it is about. No answer within 5 s
    is an outage.
    """

    _TICK_S = 0.005

    def __init__(self) -> None:
        super().__init__()
        self._left: dict[asyncio.Future[None], float] = {}
        self.speed = 1.0

    async def query(self, query: Query, window: Window) -> Samples | NoData:
        del window
        whose = re.findall(r"[a-j]{10}", query.text)
        self.asked.append(whose)
        done: asyncio.Future[None] = asyncio.Future()
        self._left[done] = 0.02 + 0.002 * len(whose)
        try:
            async with asyncio.timeout(5):
                await done
        except TimeoutError as error:
            raise SourceOutageError("no answer within 5 s") from error
        finally:
            self._left.pop(done, None)
            self.ended.append(whose)
        return NoData()

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._TICK_S)
            for done in list(self._left):
                self._left[done] -= self.speed * self._TICK_S / len(self._left)
                if self._left[done] <= 0 and not done.done():
                    done.set_result(None)


async def release_looks(batched: Batching, number: int, until_s: float, lags: list[tuple[float, float]]) -> None:
    """Three metrics, looks of 5 s that are all made, one after the other; after an outage it tries again 5 s later."""
    loop = asyncio.get_running_loop()
    end = number % 10 / 2
    while loop.time() < until_s:
        end += 5.0
        await asyncio.sleep(max(0.0, end - loop.time()))
        window = window_until(end)
        while True:
            asked = (batched.query(of_release(number, template=name), window) for name in "xyz")
            if all(one == NoData() for one in await asyncio.gather(*asked, return_exceptions=True)):
                break
            await asyncio.sleep(5.0)
        lags.append((end, loop.time() - end))


def test_those_who_are_late_catch_up_together_after_a_source_was_slow():
    """300 Releases: together half of what it can do, alone four times as much. For half a minute it does a third."""

    async def story() -> None:
        source = OneCore()
        core = asyncio.create_task(source.run())
        batched = Batching(Limited(source))
        lags: list[tuple[float, float]] = []
        loop = asyncio.get_running_loop()
        loop.call_later(20, setattr, source, "speed", 0.3)
        loop.call_later(50, setattr, source, "speed", 0.8)
        await asyncio.gather(*(release_looks(batched, number, 120, lags) for number in range(300)))
        await batched.close()
        core.cancel()
        late = [max(lag for end, lag in lags if since <= end < since + 10) for since in (10, 50, 80)]
        assert late[0] < 1.0
        assert late[1] > 2.0, "it was not slow"
        assert late[2] < 1.0, late

    by_a_clock_that_jumps(story())


async def test_who_comes_while_others_wait_for_a_place_joins_them():
    async with asking() as (source, batched):
        source.seconds = 0.3
        busy = [
            asyncio.create_task(all_of(batched, range(2), window_until(5 + other))) for other in range(batching.AT_ONCE)
        ]
        await until(lambda: len(source.asked) == batching.AT_ONCE, "no place is free")
        first = asyncio.create_task(all_of(batched, range(2), window_until(60)))
        await asyncio.sleep(3 * batching.GATHER_S)
        await asyncio.gather(first, all_of(batched, range(2, 5), window_until(60)), *busy)
        assert source.sizes == [2] * batching.AT_ONCE + [5]


async def test_the_oldest_window_comes_first():
    async with asking() as (source, batched):
        source.seconds = 0.2
        ends = [*range(1, batching.AT_ONCE + 1), 90, 70, 80]
        asked = [
            asyncio.create_task(all_of(batched, range(at, at + 1), window_until(end))) for at, end in enumerate(ends)
        ]
        await asyncio.gather(*asked)
        assert source.asked[batching.AT_ONCE :] == [[revision(5)], [revision(6)], [revision(4)]]


async def test_one_that_hangs_keeps_no_other_from_its_place(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(batching, "PATIENCE_S", 0.1)
    async with asking() as (source, batched):
        source.hangs = {revision(number) for number in range(batching.AT_ONCE)}
        hanging = [
            asyncio.create_task(all_of(batched, range(at, at + 1), window_until(1 + at)))
            for at in range(batching.AT_ONCE)
        ]
        await until(lambda: len(source.asked) == batching.AT_ONCE, "no place is free")
        async with asyncio.timeout(5):
            assert await all_of(batched, range(10, 12), window_until(60)) == [NoData()] * 2
        for one in hanging:
            one.cancel()
        await asyncio.wait(hanging)


async def test_one_that_is_broken_again_is_asked_alone_for_longer_each_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(batching, "APART_S", 0.05)
    monkeypatch.setattr(batching, "LONGEST_APART_S", 0.2)
    async with asking() as (source, batched):
        source.broken = {revision(3)}
        apart = []
        for _ in range(4):
            await all_of(batched, range(3, 10))
            apart.append(batched._apart.last(("", revision(3))))
            await asyncio.sleep(0.21)
        assert apart == [0.05, 0.1, 0.2, 0.2]


async def test_a_batch_that_is_too_much_for_the_source_becomes_smaller():
    async with asking() as (source, batched):
        source.most = 12
        for _ in range(4):
            assert await all_of(batched, range(30)) == [NoData()] * 30
        batches = [size for size in map(len, source.asked) if size > 1]
        assert batches == [30, 15, 15, 7, 7, 7, 7, 2, 7, 7, 7, 7, 2]


async def test_an_outage_is_everybodys_and_none_is_asked_alone_afterwards():
    async with asking() as (source, batched):
        source.out = True
        assert {str(one) for one in await all_of(batched, range(10))} == {"out"}
        source.out = False
        assert await all_of(batched, range(10)) == [NoData()] * 10
        assert source.sizes == [1] * 10 + [10, 10]


async def test_a_row_that_is_nobodys_reaches_nobody():
    async with asking() as (source, batched):
        source.rows = {revision(3): (Row("strangerst", 5, 9),)}
        found = await all_of(batched, range(5))
        assert found[3] == Samples((Row("strangerst", 5, 9),))  # as it is told apart by itself, and said to be broken
        assert found[:3] + found[4:] == [NoData()] * 4


async def test_who_is_cancelled_takes_nobody_along_and_the_last_one_takes_the_query():
    async with asking() as (source, batched):
        source.hangs = {revision(number) for number in range(10)}
        queries = [asyncio.ensure_future(batched.query(of_release(number), LOOK)) for number in range(10)]
        await until(lambda: source.asked, "the source is asked")
        for query in queries[:9]:
            query.cancel()
        await asyncio.wait(queries[:9])
        assert source.ended == []
        assert not queries[9].done()
        queries[9].cancel()
        await asyncio.wait(queries)
        await until(lambda: len(source.ended) == len(source.asked), "nothing is asked any more")


async def test_who_comes_after_all_others_have_gone_is_answered():
    async with asking() as (source, batched):
        gone = asyncio.ensure_future(batched.query(of_release(1), LOOK))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait([gone])
        assert await batched.query(of_release(2), LOOK) == NoData()
        assert source.asked == [[revision(2)]]


async def test_closing_ends_what_is_asked_and_asks_nothing_more():
    async with asking() as (source, batched):
        source.hangs = {revision(1)}
        queries = [asyncio.ensure_future(batched.query(of_release(number), LOOK)) for number in range(2)]
        await until(lambda: source.asked, "the source is asked")
        await batched.close()
        found = await asyncio.gather(*queries, return_exceptions=True)
        assert [type(one) for one in found] == [SourceOutageError] * 2
        assert source.sizes == [2]
