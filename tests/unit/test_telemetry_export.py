"""The exporter against a real server that answers, refuses, forgets to answer, or is not there.

`Store` keeps what it is sent as InfluxDB would: a point of the same series and time replaces the one before.
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web

from workloads.common.exporter import LOST, Exporter, Pace
from workloads.common.http_metrics import Identity
from workloads.common.line_protocol import Point

WHO = Identity(service="shop", revision="abcdefghij", pod="shop-1")
FAST = Pace(interval=0.02, buffered=300, timeout=0.3, retry=(0.02, 0.05), last_flush=1.0)
LINE = re.compile(r"(?P<series>\S+) count=(?P<count>\d+)i (?P<time>\d+)")


class Store:
    """`answers` are given in turn, then 204. A `lost` answer is one that comes after the data were stored."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: list[int | str] = []
        self.points: dict[tuple[str, str], int] = {}
        self.writes: Counter[tuple[str, str]] = Counter()
        self.bodies: list[str] = []
        self.queries: list[dict[str, str]] = []

    async def write(self, request: web.Request) -> web.Response:
        body = await request.text()
        self.bodies.append(body)
        self.queries.append(dict(request.query))
        answer = self.answers.pop(0) if self.answers else 204
        if answer in {204, "lost"}:
            for found in LINE.finditer(body):
                key = (found["series"], found["time"])
                self.points[key] = int(found["count"])
                self.writes[key] += 1
        if answer == "lost":
            await asyncio.sleep(0.5)
            answer = 204
        return web.Response(status=int(answer), text="partial write: sorry" if answer != 204 else None)

    @property
    def total(self) -> int:
        return sum(self.points.values())


class Counting:
    """A source that is told apart from HTTP: `add` counts, a flush takes."""

    def __init__(self) -> None:
        self.added = 0
        self._waiting = 0

    def add(self, count: int = 1) -> None:
        self.added += count
        self._waiting += count

    def take(self, time_ns: int) -> list[Point]:
        count, self._waiting = self._waiting, 0
        return [Point("jobs", {"count": count}, time_ns, WHO.tags())] if count else []


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    store = Store()
    app = web.Application()
    app.router.add_post("/api/v2/write", store.write)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    store.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield store
    await runner.cleanup()


def exporter(url: str, source: Counting, pace: Pace = FAST) -> Exporter:
    return Exporter(url=url, identity=WHO, sources=[source.take], pace=pace)


async def until(condition: Callable[[], bool], *, seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - conditions are of many kinds
            await asyncio.sleep(0.005)


async def test_counts_arrive_within_flushes_and_the_last_ones_at_the_end(store: Store) -> None:
    source = Counting()
    async with exporter(store.url, source):
        source.add(3)
        await until(lambda: store.total == 3)
        source.add(4)
    assert store.total == 7
    assert store.queries[0] == {"bucket": "metrics", "precision": "ns"}
    assert store.bodies[0].startswith("jobs,pod=shop-1,revision=abcdefghij,service=shop count=3i ")


@pytest.mark.parametrize("answers", [[500, 503, 429, 502], [401, 404], [302], ["lost"], ["lost", 500, "lost"]])
async def test_failed_pushes_neither_lose_nor_double(store: Store, answers: list[int | str]) -> None:
    store.answers = list(answers)
    source = Counting()
    async with exporter(store.url, source) as pushing:
        for _ in range(20):
            source.add()
            await asyncio.sleep(0.005)
        await until(lambda: not store.answers)
    assert store.total == source.added == 20
    assert pushing.lost == 0


async def test_an_answer_that_gets_lost_makes_the_same_point_come_twice(store: Store) -> None:
    """The negative control of the test above: it shows what overwriting hides."""
    store.answers = ["lost"]
    source = Counting()
    async with exporter(store.url, source):
        source.add(5)
        await until(lambda: max(store.writes.values(), default=0) == 2)
    assert store.total == 5
    assert sum(store.writes.values()) > len(store.writes)


async def test_an_outage_within_the_bound_loses_nothing(unused_tcp_port: int) -> None:
    source, store = Counting(), Store()
    async with exporter(f"http://127.0.0.1:{unused_tcp_port}", source):
        for _ in range(20):
            source.add()
            await asyncio.sleep(0.01)
        app = web.Application()
        app.router.add_post("/api/v2/write", store.write)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
        await until(lambda: store.total == 20)
    await runner.cleanup()


async def test_what_a_killed_telegraf_had_received_and_not_written_is_sent_again(store: Store) -> None:
    source = Counting()
    async with exporter(store.url, source):
        source.add(3)
        await until(lambda: store.total == 3)
        store.points.clear()
        store.answers = [503]
        source.add(4)
        await until(lambda: store.total == 7)


async def test_a_longer_outage_loses_the_oldest_and_says_how_much(store: Store) -> None:
    store.answers = [503] * 20
    source = Counting()
    async with exporter(
        store.url, source, Pace(interval=0.01, buffered=5, timeout=0.3, retry=(0.02, 0.02), last_flush=1.0)
    ) as pushing:
        while store.answers:
            source.add()
            await asyncio.sleep(0.005)
    assert pushing.lost > 0
    assert 0 < store.total < source.added
    said = [line for body in store.bodies for line in body.splitlines() if line.startswith(LOST)]
    assert said
    assert said[-1].split()[1].startswith("points=")


async def test_lost_points_and_points_that_arrived_are_all_points(store: Store) -> None:
    store.answers = [503] * 20
    source = Counting()
    flushed = 0

    def take(time_ns: int) -> list[Point]:
        nonlocal flushed
        source.add()
        points = source.take(time_ns)
        flushed += len(points)
        return points

    pushing = Exporter(
        url=store.url,
        identity=WHO,
        sources=[take],
        pace=Pace(interval=0.01, buffered=5, timeout=0.3, retry=(0.02, 0.02), last_flush=1.0),
    )
    async with pushing:
        await until(lambda: not store.answers)
    reports = {line for body in store.bodies for line in body.splitlines() if line.startswith(LOST)}
    assert len(store.points) <= flushed <= len(store.points) + pushing.lost <= flushed + len(reports)


async def test_what_is_refused_for_its_content_is_not_sent_again(store: Store) -> None:
    store.answers = [400]
    source = Counting()
    async with exporter(store.url, source) as pushing:
        source.add(2)
        await until(lambda: not store.answers)
        source.add(3)
        await until(lambda: store.total == 3)
    assert pushing.lost == 1


async def test_a_server_that_is_silent_ends_the_exporter_in_time(store: Store) -> None:
    store.answers = ["lost"] * 100
    source = Counting()
    pushing = exporter(store.url, source, Pace(interval=0.02, timeout=0.1, retry=(0.02, 0.05), last_flush=0.4))
    await pushing.__aenter__()
    source.add(2)
    began = asyncio.get_running_loop().time()
    await pushing.__aexit__()
    assert asyncio.get_running_loop().time() - began < 2.0
    assert pushing.lost >= 1


async def test_a_defect_in_one_source_does_not_end_the_others(store: Store) -> None:
    source = Counting()

    def broken(time_ns: int) -> list[Point]:
        raise RuntimeError("defect")

    async with Exporter(url=store.url, identity=WHO, sources=[broken, source.take], pace=FAST):
        source.add()
        await until(lambda: store.total == 1)


async def test_a_token_is_sent_when_there_is_one(store: Store) -> None:
    seen = []
    store_write = store.write

    async def write(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return await store_write(request)

    app = web.Application()
    app.router.add_post("/api/v2/write", write)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    source = Counting()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    async with Exporter(url=url, identity=WHO, sources=[source.take], token="abc", pace=FAST):  # noqa: S106
        source.add()
    await runner.cleanup()
    assert seen == ["Token abc"]
