"""The load generator against a server of the test's own. Named after the subject, which it is made for."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from hack.load import Call, Load, Plan, PlanError, Snapshot, plan_for

CHECKOUT = Path(__file__).resolve().parents[2]


class Server:
    def __init__(self) -> None:
        self.url = ""
        self.requests: list[float] = []
        self.connections: set[object] = set()
        self.hosts: set[str] = set()
        self.calls: list[tuple[str, str, str, bytes, str]] = []
        self.answer: Callable[[int], Awaitable[web.Response]] = self.fine

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append(time.monotonic())
        self.connections.add(request.get_extra_info("peername"))
        self.hosts.add(request.headers["Host"])
        if request.path != "/":
            self.calls.append(
                (request.method, request.path_qs, request.headers["X-Who"], await request.read(), request.host)
            )
        return await self.answer(len(self.requests))

    async def fine(self, _: int) -> web.Response:
        return web.Response(text="ok", headers={"X-Revision": "stable"})


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield server
    await runner.cleanup()


async def all_of(plan: Plan) -> Snapshot:
    load = Load(plan)
    await load.start()
    await load.finished()
    return await load.stop()


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1:80",
        "http://example.com",
        "https://127.0.0.1",
        "http://127.0.0.1.example.com",
        "ftp://localhost",
    ],
)
def test_other_machines_are_refused(url: str) -> None:
    with pytest.raises(PlanError, match="this machine only"):
        plan_for(url, rate=1)


@pytest.mark.parametrize("url", ["http://127.0.0.1:80", "http://127.1.2.3", "http://[::1]:80", "http://localhost:80"])
def test_this_machine_is_not(url: str) -> None:
    assert plan_for(url, rate=1).url.host in {"127.0.0.1", "127.1.2.3", "::1"}


@pytest.mark.parametrize(
    "too_much", [{"rate": 2_001}, {"seconds": 601}, {"rate": 0}, {"fresh": 1.1}, {"seconds": float("nan")}]
)
def test_more_than_the_bounds_is_refused(too_much: dict[str, Any]) -> None:
    with pytest.raises(PlanError, match="is not between"):
        plan_for("http://127.0.0.1", **{"rate": 1, **too_much})


async def test_the_rate_is_kept_and_every_request_counted(server: Server) -> None:
    began = time.monotonic()
    seen = await all_of(plan_for(server.url, rate=200, seconds=0.5, host="shop.localhost"))
    assert (seen.sent, seen.answered, seen.failed, seen.in_flight, seen.skipped) == (100, 100, 0, 0, 0)
    assert len(server.requests) == 100
    assert 0.4 < server.requests[-1] - began < 3  # the first may come late, and none early
    assert server.hosts == {"shop.localhost"}
    assert seen.revisions["stable"].codes == {"200": 100}


async def test_answers_are_told_apart_by_revision_and_code(server: Server) -> None:
    async def answer(number: int) -> web.Response:
        if number % 5 == 0:
            return web.Response(status=503)  # the router's own
        if number % 2:
            return web.Response(headers={"X-Revision": "stable"})
        return web.Response(status=500, headers={"X-Revision": "canary"})

    server.answer = answer
    began = time.time()
    seen = await all_of(plan_for(server.url, rate=200, seconds=0.1))
    assert {name: (tally.answers, tally.bad) for name, tally in seen.revisions.items()} == {
        "-": (4, 4),
        "canary": (8, 8),
        "stable": (8, 0),
    }
    assert seen.codes == {"200": 8, "500": 8, "503": 4}
    assert (seen.bad, seen.transport_errors) == (12, 0)
    canary = seen.revisions["canary"]
    assert canary.first_bad is not None
    assert canary.last_bad is not None
    assert began <= canary.first == canary.first_bad <= canary.last_bad == canary.last <= time.time()
    assert seen.revisions["stable"].first_bad is None


async def test_bad_answers_are_kept_with_what_they_said(server: Server) -> None:
    async def answer(number: int) -> web.Response:
        if number % 2:
            return web.json_response({"detail": "the database does not answer", "traceId": str(number)}, status=503)
        return web.Response(text="no such page\n" * 100, status=404)

    server.answer = answer
    seen = await all_of(plan_for(server.url, rate=100, seconds=0.1))
    assert seen.reasons["503 the database does not answer"] == 5
    (other,) = seen.reasons.keys() - {"503 the database does not answer"}
    assert other.startswith("404 no such page")
    assert (seen.reasons[other], len(other)) == (5, 160)


async def test_of_reasons_that_are_never_the_same_only_some_are_kept(server: Server) -> None:
    async def answer(number: int) -> web.Response:
        return web.Response(text=str(number), status=500)

    server.answer = answer
    seen = await all_of(plan_for(server.url, rate=200, seconds=0.2))
    assert seen.bad == 40
    assert len(seen.reasons) == 20


async def test_no_answer_is_counted_apart(unused_tcp_port: int) -> None:
    seen = await all_of(plan_for(f"http://127.0.0.1:{unused_tcp_port}", rate=100, seconds=0.1))
    assert (seen.answered, seen.bad, seen.transport_errors, seen.failed) == (0, 0, 10, 10)
    assert set(seen.transport) == {"ClientConnectorError"}
    assert seen.first_transport is not None


async def test_a_hanging_server_does_not_slow_the_sending_down(server: Server) -> None:
    async def hang(_: int) -> web.Response:
        await asyncio.sleep(0.4)
        return web.Response()

    server.answer = hang
    seen = await all_of(plan_for(server.url, rate=200, seconds=0.2, timeout=0.1))
    assert (seen.sent, seen.transport) == (40, {"TimeoutError": 40}) or seen.transport == {"ServerTimeoutError": 40}


async def test_what_finds_no_room_is_skipped_and_said(server: Server) -> None:
    async def hang(_: int) -> web.Response:
        await asyncio.sleep(0.3)
        return web.Response()

    server.answer = hang
    seen = await all_of(plan_for(server.url, rate=100, seconds=0.2, in_flight=5))
    assert (seen.sent, seen.skipped) == (5, 15)


async def test_latency_counts_from_the_moment_a_request_was_due(server: Server) -> None:
    load = Load(plan_for(server.url, rate=100, seconds=0.2))
    await load.start()
    await asyncio.sleep(0)
    time.sleep(0.15)  # noqa: ASYNC251 - the loop itself stands still
    await load.finished()
    seen = await load.stop()
    assert seen.sent == 20
    assert seen.latency_ms["p95"] >= 100


async def test_connections_are_kept_or_new_as_asked(server: Server) -> None:
    await all_of(plan_for(server.url, rate=10, seconds=1))  # so slow that one connection does, even on a busy machine
    kept = len(server.connections)
    await all_of(plan_for(server.url, rate=100, seconds=0.1, fresh=1.0))
    assert kept < 10
    assert len(server.connections) - kept == 10


async def test_it_can_be_looked_at_and_stopped_at_any_time(server: Server) -> None:
    async with Load(plan_for(server.url, rate=100)) as load:
        while load.snapshot().answered < 5:  # noqa: ASYNC110 - a condition of another object
            await asyncio.sleep(0.005)
        seen = await load.stop()
    assert seen.in_flight == 0
    assert seen.sent == seen.answered == len(server.requests)
    assert json.loads(json.dumps(asdict(seen)))["revisions"]["stable"]["answers"] == seen.answered


async def command(*arguments: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hack.load", *arguments,
        cwd=CHECKOUT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_the_command_ends_with_one_json_object(server: Server) -> None:
    code, out, _ = await command("--url", server.url, "--rate", "50", "--seconds", "0.2", "--json")
    assert code == 0
    assert json.loads(out.splitlines()[-1])["sent"] == 10


async def test_the_command_says_what_is_wrong() -> None:
    code, _, err = await command("--url", "http://example.com")
    assert code == 2
    assert "this machine only" in err


async def test_each_call_may_be_another(server: Server) -> None:
    calls = (Call("POST", f"/calls/{n}?of=10", {"X-Who": f"user-{n}"}, b"%d" % n) for n in range(10))
    load = Load(plan_for(server.url, rate=100, seconds=0.1, host="shop.localhost"), calls=calls.__next__)
    await load.start()
    await load.finished()
    assert (await load.stop()).codes == {"200": 10}
    assert sorted(server.calls, key=lambda each: int(each[3])) == [
        ("POST", f"/calls/{n}?of=10", f"user-{n}", b"%d" % n, "shop.localhost") for n in range(10)
    ]


@pytest.mark.parametrize("path", ["//elsewhere.example/", "http://elsewhere.example/", "relative"])
def test_a_call_cannot_lead_elsewhere(path: str) -> None:
    with pytest.raises(PlanError, match="one address"):
        Call(path=path)


async def test_a_request_that_is_neither_answered_nor_lost_ends_the_load_with_its_defect(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Load(plan_for(server.url, rate=200, seconds=60))

    async def defect(*_: object) -> None:
        raise KeyError("revision")

    monkeypatch.setattr(load, "_request", defect)
    await load.start()
    async with asyncio.timeout(30):
        await load.finished()
    with pytest.raises(KeyError, match="revision"):
        await load.stop()
