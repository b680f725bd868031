"""Asked together or one by one, a real InfluxDB counts the same for each Release, bit for bit."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from controller.analysis import batching
from controller.analysis.batching import Batching
from controller.analysis.limited import Limited
from controller.api.secret import SecretRef
from controller.ports import BrokenMetricError, MetricProvider, NoData, Query, Samples, SourceOutageError, Window
from controller.providers import influxdb, influxdb1
from controller.providers.joint import JoinableQuery
from controller.providers.rendering import Renderer
from hack.node.influx import InfluxDB
from hack.node.influx1 import READER, InfluxDB1
from tests.e2e.patience import until
from tests.integration.influx_server import T0, Server, nanoseconds
from tests.integration.library import template_query

pytest_plugins = ["tests.integration.influx1_fixture", "tests.integration.influx_fixture"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

RELEASES = 24
LOOKS = [Window(T0 + timedelta(seconds=5 * look), T0 + timedelta(seconds=5 * look + 5)) for look in range(2)]
TEMPLATES = [
    "http-errors",
    "http-errors-app",
    "http-errors-statsd",
    "http-latency",
    "http-latency-quantiles",
    "job-failures",
    "job-duration",
    "client-failures",
    "log-errors",
    "examples/sign-ups",
]
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


class Shop:
    """A Release of one of two namespaces, with names that are parts of one another's."""

    def __init__(self, number: int, chance: random.Random) -> None:
        self.namespace = ("shop", "my-shop")[number % 2]
        self.service = ("web", "web-two", "my-web")[number % 3]
        self.stable, self.canary = ("".join(chance.choices(_LETTERS, k=10)) for _ in range(2))
        if number == 0:
            self.stable = ""

    @property
    def context(self) -> dict[str, Any]:
        source = {"bucket": InfluxDB.bucket}
        return {"cluster": "c", "namespace": self.namespace, "service": self.service, "of_source": source}


def points(shop: Shop, at: datetime, chance: random.Random) -> Iterator[str]:
    """One flush of both versions; some have none, some lack a tag, and others' services carry their revisions."""
    for revision in filter(None, (shop.stable, shop.canary)):
        if chance.random() < 0.2:
            continue
        many, few = chance.randint(30, 90), chance.randint(0, 3)
        tags = f"service={shop.service},revision={revision}"
        pod = f",pod={shop.service}-{revision}-{chance.choice('bxyz')}" if chance.random() < 0.8 else ""
        route = f"httproute-{shop.namespace}-{shop.service}-gw-0-9f95e1f22fb1"
        place = f"{route}-svc-{shop.namespace}-{shop.service}-{revision}-0@kubernetesgateway"
        for code, count in ((200, many), (503, few)):
            yield f"traefik.service.requests.total,service={place},code={code} count={count}"
            yield f"http.server.requests,{tags}{pod},code={code} count={count}i"
            yield f"http_requests,{tags},code={code} value={count}"
        yield f"http.server.requests,{tags}{pod} count={few}i"  # without a code
        slow = f"le_0.25={many - many // 3}i,le_1={many}i"
        yield f"http.server.request.duration,{tags}{pod} count={many}i,{slow},sum=1.5"
        yield f"http.server.active_requests,{tags}{pod} over_0.25={few}i,over_1=0i"
        yield f"job.outcome,{tags}{pod} first_attempts={many}i,first_attempt_failed={few}i"
        yield f"messaging.process.duration,{tags}{pod},attempt=first count={many}i,le_1={many - few}i"
        yield f"client.outcome,{tags}{pod} total={many}i,bad={few}i"
        yield f"log.messages,{tags},level={chance.choice(['info', 'Error', 'warning'])} count={many}i"
        yield f"invitation.outcome,{tags} sent={many}i,signed_up={few}i"
        yield f"http.server.requests,service=stranger,revision={revision},code=500 count=1000i"
        yield f"http.server.request.duration,service=stranger,revision={revision} count=1000i,le_0.25=0i,le_1=0i"


def written(write: Callable[[list[str], datetime], None]) -> list[Shop]:
    """With points at the windows' edges, twice, late, and beside them."""
    chance = random.Random(4)  # noqa: S311 - points
    found = [Shop(number, chance) for number in range(RELEASES)]
    moments = [T0 + timedelta(seconds=second) for second in (-1, 0, 1.5, 4.999999, 5, 7, 10)]
    for moment in [*moments, T0 + timedelta(seconds=2)]:
        lines = [line for shop in found[:-1] for line in points(shop, moment, chance)]  # the last one has none
        for _ in range(chance.randint(1, 2)):
            write(lines, moment)
    return found


@pytest.fixture(scope="module")
def shops(running: Server) -> list[Shop]:
    return written(lambda lines, at: running.write(*lines, at=at))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def renderer() -> AsyncIterator[Renderer]:
    renderer = Renderer()
    yield renderer
    await renderer.close()


async def of_all(renderer: Renderer, shops: list[Shop], template: str) -> list[Query]:
    found = [
        await template_query(renderer, "library", template, shop.stable, shop.canary, context=shop.context)
        for shop in shops
    ]
    assert all(isinstance(query, JoinableQuery) for query in found)
    return found


class Counted:
    """A provider, and what it was asked."""

    def __init__(self, provider: MetricProvider) -> None:
        self._provider = provider
        self.asked: list[Query] = []

    async def query(self, query: Query, window: Window) -> Samples | NoData:
        self.asked.append(query)
        return await self._provider.query(query, window)

    async def has_rows(self, query: Query, window: Window) -> bool:
        return await self._provider.has_rows(query, window)

    async def close(self) -> None:
        await self._provider.close()


async def answered(provider: MetricProvider, query: Query, window: Window) -> Samples | NoData | str:
    try:
        return await provider.query(query, window)
    except BrokenMetricError as error:
        return str(error)


async def one_by_one(provider: MetricProvider, queries: list[Query], window: Window) -> list[Any]:
    return [await answered(provider, query, window) for query in queries]


async def together(provider: MetricProvider, queries: list[Query], window: Window) -> tuple[list[Any], int]:
    """Also, how many queries that took."""
    counted = Counted(provider)
    batched = Batching(Limited(counted))
    found = await asyncio.gather(*(answered(batched, query, window) for query in queries))
    return found, len(counted.asked)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may need longer, and then each would ask for itself."""
    monkeypatch.setattr(batching, "PATIENCE_S", 60.0)


async def are_the_same(provider: MetricProvider, queries: list[Query]) -> None:
    for window in (*LOOKS, Window(LOOKS[0].start, LOOKS[1].end)):
        alone = await one_by_one(provider, queries, window)
        assert await together(provider, queries, window) == (alone, 1)
        assert sum(isinstance(one, Samples) for one in alone) > RELEASES / 2
        assert alone[-1] == NoData()


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("template", TEMPLATES)
async def test_counts_are_the_same_together_and_one_by_one(
    running: Server, renderer: Renderer, shops: list[Shop], template: str
) -> None:
    async with running.provider(timeout_s=60.0) as provider:
        await are_the_same(provider, await of_all(renderer, shops, template))


@pytest.mark.usefixtures("patient")
async def test_counts_of_influxdb_1_are_the_same_too(influx1: InfluxDB1, renderer: Renderer) -> None:
    shops = written(lambda lines, at: influx1.write(*(f"{line} {nanoseconds(at)}" for line in lines)))
    login = SecretRef("s", "password")
    config = influxdb1.Config(
        url=influx1.url, database=influx1.database, username=READER, password_secret=login, timeout_s=60.0
    )
    provider = influxdb1.create(config, {"password": influx1.password}, None)
    for template in TEMPLATES:
        queries = await of_all(renderer, shops, template)
        if queries[0].language == influxdb.INFLUXQL.name:
            await are_the_same(provider, queries)
    await provider.close()


class Gateway:
    """Before the real server: holds back what is about one revision, or refuses it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.slow, self.refused = "none", "none"
        self.asked: list[str] = []
        self.given_up: list[str] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_post("/{path:.*}", self._take)
        async with aiohttp.ClientSession(trust_env=False) as self._session, TestServer(app) as server:
            yield f"http://127.0.0.1:{server.port}"

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.text()
        self.asked.append(body)
        if self.refused in body:
            return web.json_response({"message": "this one cannot be answered"}, status=400)
        if self.slow in body:
            try:
                await asyncio.Event().wait()
            finally:  # aiohttp's test server cancels what nobody waits for any more
                self.given_up.append(body)
        names = ("Authorization", "Content-Type")
        headers = {name: request.headers[name] for name in names if name in request.headers}
        async with self._session.post(self._url + request.path_qs, data=body, headers=headers) as answer:
            return web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)


@asynccontextmanager
async def behind(gateway: Gateway, running: Server, **changes: Any) -> AsyncIterator[Batching]:
    async with gateway.running() as url, running.provider(url=url, timeout_s=30.0, **changes) as provider:
        batched = Batching(Limited(provider))
        yield batched
        await batched.close()


@pytest.mark.parametrize("template", ["http-latency", "http-errors-app"])
async def test_one_that_hangs_delays_none_of_the_others(
    running: Server, renderer: Renderer, shops: list[Shop], template: str
) -> None:
    asked, gateway = await of_all(renderer, shops, template), Gateway(running.influx.url)
    async with running.provider(timeout_s=60.0) as provider:
        alone = await one_by_one(provider, asked, LOOKS[0])
    gateway.slow = shops[5].canary
    async with behind(gateway, running) as batched:
        hanging = asyncio.ensure_future(batched.query(asked[5], LOOKS[0]))
        async with asyncio.timeout(20):  # less than the source's own time-out
            found = await asyncio.gather(
                *(answered(batched, query, LOOKS[0]) for number, query in enumerate(asked) if number != 5)
            )
        assert found == alone[:5] + alone[6:]
        assert not hanging.done()
        hanging.cancel()
        await asyncio.wait([hanging])
        await until(lambda: len(gateway.given_up) == 2, "the server is asked no more")


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("template", ["http-latency", "http-errors-app"])
async def test_one_that_fails_fails_alone_and_in_its_own_words(
    running: Server, renderer: Renderer, shops: list[Shop], template: str
) -> None:
    asked, gateway = await of_all(renderer, shops, template), Gateway(running.influx.url)
    async with running.provider(timeout_s=60.0) as provider:
        alone = await one_by_one(provider, asked, LOOKS[0])
    gateway.refused = shops[5].canary
    async with behind(gateway, running) as batched:
        for round_ in range(2):
            found = await asyncio.gather(*(answered(batched, query, LOOKS[0]) for query in asked))
            assert str(found[5]).endswith("cannot answer the query (400): this one cannot be answered")
            assert found[:5] + found[6:] == alone[:5] + alone[6:]
            assert len(gateway.asked) == (1 + RELEASES, 1 + RELEASES + 2)[round_]


async def test_a_server_that_is_out_is_everybodys_outage_and_ends_in_time(
    running: Server, renderer: Renderer, shops: list[Shop]
) -> None:
    asked = await of_all(renderer, shops, "http-latency")
    async with running.provider(url="http://127.0.0.1:1", timeout_s=5.0) as provider:
        batched = Batching(Limited(provider))
        found = await asyncio.gather(*(batched.query(query, LOOKS[0]) for query in asked), return_exceptions=True)
        assert {type(one) for one in found} == {SourceOutageError}
        await batched.close()
