"""Connections that say nothing, or half of it, or take no answer, are closed; however many, they keep nobody out."""

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from aiohttp import ClientSession, TCPConnector, web
from aiohttp.test_utils import unused_port

from controller.runtime import listening as listening_module
from controller.runtime import operator as operator_module
from controller.runtime.listening import Connections, listening
from controller.runtime.operator import Operator
from controller.runtime.settings import settings
from tests.unit.runtime.fault_world import HOME, World

HOST = "127.0.0.1"
DEADLINE_S = 30.0
BIG = 64 * 2**20
REQUEST = b"GET /hello HTTP/1.1\r\nHost: it\r\n\r\n"

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def hello(_: web.Request) -> web.Response:
    return web.Response(text="hello")


async def big(_: web.Request) -> web.Response:
    return web.Response(body=b"x" * BIG)


async def defect(_: web.Request) -> web.Response:
    raise KeyError("web")


ROUTES = [web.get("/hello", hello), web.get("/big", big), web.get("/defect", defect)]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[Connections]:
    """The connections of each port that is listened at."""
    made = list[Connections]()

    class Kept(Connections):
        def __init__(self, most: int) -> None:
            super().__init__(most)
            made.append(self)

    monkeypatch.setattr(listening_module, "Connections", Kept)
    return made


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IDLE_S", "_UNREAD_S", "_LINGER_S"):
        monkeypatch.setattr(listening_module, name, 0.3)


@contextlib.asynccontextmanager
async def connected(port: int, address: str = HOST) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection(HOST, port, local_addr=(address, 0))
    try:
        yield reader, writer
    finally:
        writer.close()


async def closed(reader: asyncio.StreamReader) -> bytes:
    """What came until the server closed."""
    async with asyncio.timeout(DEADLINE_S):
        try:
            return await reader.read()
        except ConnectionError:
            return b""


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not holds():  # noqa: ASYNC110 - a count, and nobody who tells of it
            await asyncio.sleep(0.01)


async def answer(connection: Connection, request: bytes = REQUEST, *, ends: bytes = b"hello") -> bytes:
    reader, writer = connection
    writer.write(request)
    async with asyncio.timeout(DEADLINE_S):
        return await reader.readuntil(ends)


async def says_nothing(_: Connection) -> None: ...


async def half_of_the_headers(connection: Connection) -> None:
    connection[1].write(REQUEST[:20])


async def headers_drop_by_drop(connection: Connection) -> None:
    with contextlib.suppress(ConnectionError):
        for number in range(1000):
            connection[1].write(REQUEST[number : number + 1] if number < 24 else b"a")  # a field's name without an end
            await connection[1].drain()
            await asyncio.sleep(0.02)


async def one_request_and_half_of_another(connection: Connection) -> None:
    connection[1].write(REQUEST + REQUEST[:20])


async def half_of_a_body(connection: Connection) -> None:
    connection[1].write(b"GET /hello HTTP/1.1\r\nHost: it\r\nContent-Length: 100\r\n\r\nhalf")


@pytest.mark.parametrize(
    "does",
    [says_nothing, half_of_the_headers, headers_drop_by_drop, one_request_and_half_of_another, half_of_a_body],
    ids=lambda does: does.__name__,
)
@pytest.mark.usefixtures("soon")
async def test_a_connection_without_a_whole_request_is_closed(
    does: Callable[[Connection], Coroutine[Any, Any, None]], kept: list[Connections]
) -> None:
    async with listening(ROUTES, HOST, 0, most=10) as port, connected(port) as connection, asyncio.TaskGroup() as group:
        doing = group.create_task(does(connection))
        await closed(connection[0])
        doing.cancel()
        await until(lambda: len(kept[0]) == 0)


@pytest.mark.usefixtures("soon")
async def test_who_takes_no_answer_is_cut_off(kept: list[Connections]) -> None:
    async with listening(ROUTES, HOST, 0, most=10) as port, connected(port) as (reader, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(REQUEST.replace(b"/hello", b"/big"))
        await until(lambda: len(kept[0]) == 1)
        await until(lambda: len(kept[0]) == 0)
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert len(await closed(reader)) < BIG


async def test_connections_of_one_peer_keep_no_other_out(kept: list[Connections]) -> None:
    async with listening(ROUTES, HOST, 0, most=20) as port, contextlib.AsyncExitStack() as stack:
        worker = await stack.enter_async_context(connected(port, "127.0.0.2"))
        assert b"200" in await answer(worker)
        held = [await stack.enter_async_context(connected(port, "127.0.0.3")) for _ in range(60)]
        await until(lambda: len(kept[0]) == 20)
        newcomer = await stack.enter_async_context(connected(port, "127.0.0.4"))
        assert b"200" in await answer(newcomer)
        assert b"200" in await answer(worker)
        assert b"200" in await answer(held[-1])
        for reader, _ in held[:40]:
            assert await closed(reader) == b""
        assert len(kept[0]) == 20


async def test_probes_and_metrics_answer_while_tenants_hold_all_connections_of_theirs(
    monkeypatch: pytest.MonkeyPatch, kept: list[Connections]
) -> None:
    monkeypatch.setattr(operator_module, "_MOST_WORKERS", 20)
    operator = await Operator.assemble(World().start().kube, HOME)
    operator.ready = True
    port, ledger_port = unused_port(), unused_port()
    chosen = settings(address=HOST, port=port, ledger_port=ledger_port, environ={})
    async with operator_module._endpoints(operator, chosen), contextlib.AsyncExitStack() as stack:
        for number in range(40):
            await stack.enter_async_context(connected(ledger_port, f"127.0.1.{1 + number}"))
        await until(lambda: sorted(map(len, kept)) == [0, 20])
        session = await stack.enter_async_context(ClientSession())
        for path, status in {"healthz": 200, "readyz": 200, "metrics": 200, "v1/ledger/shop/web": 404}.items():
            async with session.get(f"http://{HOST}:{port}/{path}") as answered:
                assert (path, answered.status) == (path, status)
        for path, status in {"healthz": 404, "metrics": 404, "v1/ledger/shop/web": 503}.items():
            async with session.get(f"http://{HOST}:{ledger_port}/{path}") as answered:
                assert (path, answered.status) == (path, status)


async def test_a_worker_keeps_its_connection_between_its_reports(kept: list[Connections]) -> None:
    connector = TCPConnector(limit=1)
    async with listening(ROUTES, HOST, 0, most=10) as port, ClientSession(connector=connector) as session:
        for _ in range(20):
            async with session.get(f"http://{HOST}:{port}/hello") as answered:
                assert await answered.text() == "hello"
        assert [len(connections) for connections in kept] == [1]


async def test_what_is_not_http_fills_no_log_and_a_defect_is_in_it(caplog: pytest.LogCaptureFixture) -> None:
    async with listening(ROUTES, HOST, 0, most=10) as port:
        for junk in (
            b"\x16\x03\x01\x00\xa5 hello\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"GET / HTTP/1.1\r\n: x\r\n\r\n",
        ):
            async with connected(port) as connection:
                assert b"400" in await answer(connection, junk, ends=b"\r\n")
        assert not caplog.records
        async with connected(port) as connection:
            assert b"500" in await answer(connection, REQUEST.replace(b"hello", b"defect"), ends=b"\r\n")
        assert "GET '/defect' could not be answered" in caplog.text


async def test_half_of_the_files_a_process_may_open_are_left_to_the_operator(
    monkeypatch: pytest.MonkeyPatch, kept: list[Connections]
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (16, 16))
    async with listening(ROUTES, HOST, 0, most=100) as port, contextlib.AsyncExitStack() as stack:
        held = [await stack.enter_async_context(connected(port)) for _ in range(20)]
        assert b"200" in await answer(held[-1])
        assert len(kept[0]) == 8
