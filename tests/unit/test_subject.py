"""The subject as a process of its own, on a free port, ended by signals as kubelet does."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from workloads.common.environment import SettingError
from workloads.common.faults import Fates, Faults, Overload
from workloads.subject.settings import read

CHECKOUT = Path(__file__).resolve().parents[2]


class Running:
    def __init__(self, process: asyncio.subprocess.Process, port: int, session: aiohttp.ClientSession) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.session = session
        self.lines: list[dict[str, str]] = []

    async def get(self, path: str = "/") -> tuple[int, Mapping[str, str], str]:
        async with self.session.get(self.url + path) as response:
            return response.status, response.headers, await response.text()

    async def ended(self) -> int | None:
        async with asyncio.timeout(20):
            rest, _ = await self.process.communicate()
        self.lines += [json.loads(line) for line in rest.splitlines()]
        return self.process.returncode


@asynccontextmanager
async def subject(**environment: str) -> AsyncIterator[Running]:
    """Starts it and waits until it serves."""
    settings = {"HOST": "127.0.0.1", "PORT": "0", "DRAIN_SECONDS": "0", "REVISION": "abcdefghij", "POD": "subject-1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "workloads.subject",
        cwd=CHECKOUT, env={"PATH": os.environ["PATH"], **settings, **environment}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(20), aiohttp.ClientSession() as session:
            assert process.stdout is not None
            first = json.loads(await process.stdout.readline())
            assert first["message"] == "serving"
            yield Running(process, first["port"], session)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_an_answer_names_version_revision_and_pod() -> None:
    async with subject(VERSION="2.1") as it:
        status, headers, body = await it.get()
        assert (status, json.loads(body)) == (200, {"version": "2.1", "revision": "abcdefghij", "pod": "subject-1"})
        assert headers["X-Revision"] == "abcdefghij"
        assert (await it.get("/healthz"))[0] == (await it.get("/readyz"))[0] == 200
        assert (await it.get("/nothing"))[0] == 404


async def test_a_failing_version_answers_with_a_problem_that_still_names_the_revision() -> None:
    async with subject(ERROR_RATE="1") as it:
        status, headers, body = await it.get()
        assert status == json.loads(body)["status"] == 500
        assert headers["Content-Type"].startswith("application/problem+json")
        assert headers["X-Revision"] == "abcdefghij"
        assert (await it.get("/readyz"))[0] == 200


async def test_the_error_rate_is_the_share_of_requests_that_fail() -> None:
    async with subject(ERROR_RATE="0.2", SEED="1") as it:
        codes = [(await it.get())[0] for _ in range(500)]
        assert set(codes) == {200, 500}
        assert codes.count(500) == pytest.approx(100, abs=30)


async def test_sigterm_drains_finishes_what_is_in_flight_and_exits_0() -> None:
    async with subject(EXTRA_LATENCY="0.6", LATENCY_SPREAD="0", DRAIN_SECONDS="0.4") as it:
        in_flight = asyncio.create_task(it.get())
        assert (await it.get("/readyz"))[0] == 200  # by now the request above has come as well
        it.process.send_signal(signal.SIGTERM)
        while (await it.get("/readyz"))[0] != 503:
            pass
        assert (await it.get("/healthz"))[0] == 200
        late = asyncio.create_task(it.get())  # kept serving: the endpoint may not be gone yet
        status, headers, _ = await in_flight
        assert (status, headers.get("Connection")) == (200, "close")
        assert (await late)[0] == 200
        assert await it.ended() == 0
        assert [line["message"] for line in it.lines] == ["draining", "stopped"]
        with pytest.raises(aiohttp.ClientConnectionError):
            await it.get()


async def test_counts_of_the_last_answers_are_pushed_before_the_end() -> None:
    bodies = []

    async def write(request: web.Request) -> web.Response:
        bodies.append(await request.text())
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/api/v2/write", write)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with subject(TELEMETRY_URL=f"http://127.0.0.1:{runner.addresses[0][1]}", SERVICE="shop") as it:
        for _ in range(7):
            await it.get()
            await it.get("/readyz")
        it.process.send_signal(signal.SIGTERM)
        assert await it.ended() == 0
    await runner.cleanup()
    requests = [line for body in bodies for line in body.splitlines() if line.startswith("http.server.requests,")]
    assert sum(int(line.split()[1].removeprefix("count=").removesuffix("i")) for line in requests) == 7
    head = "http.server.requests,code=200,pod=subject-1,revision=abcdefghij,route=/,service=shop "
    assert all(line.startswith(head) for line in requests)


async def test_a_telemetry_outage_does_not_touch_serving(unused_tcp_port: int) -> None:
    async with subject(TELEMETRY_URL=f"http://127.0.0.1:{unused_tcp_port}") as it:
        assert [(await it.get())[0] for _ in range(50)] == [200] * 50


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ERROR_RATE", "1.5"),
        ("ERROR_RATE", "often"),
        ("ERRORS_ABOVE", "2.5"),
        ("ERRORS_ABOVE", "-1"),
        ("EXTRA_LATENCY", "nan"),
        ("PORT", "80.5"),
        ("PORT", "-1"),
    ],
)
def test_a_wrong_setting_is_named(variable: str, value: str) -> None:
    with pytest.raises(SettingError, match=variable):
        read({variable: value})


def test_empty_settings_are_defaults() -> None:
    settings = read({"ERROR_RATE": "", "REVISION": ""})
    assert (settings.faults, settings.identity.revision, settings.port) == (Faults(), "none", 8080)


def test_fates_repeat_for_a_pod_and_differ_between_pods() -> None:
    def failed(seed: str) -> list[bool]:
        fates = Fates(Faults(error_rate=0.3), seed)
        return [fates.next().fails for _ in range(50)]

    assert failed("rev/pod-1") == failed("rev/pod-1") != failed("rev/pod-2")


def test_latency_is_around_its_median_and_for_its_share() -> None:
    fates = Fates(Faults(extra_latency=0.4, latency_share=0.25, spread=0.3), "1")
    delays = [fates.next().delay for _ in range(4_000)]
    slow = sorted(delay for delay in delays if delay)
    assert len(slow) == pytest.approx(1_000, abs=150)
    assert slow[len(slow) // 2] == pytest.approx(0.4, rel=0.1)


def test_a_process_is_cold_from_its_first_request_on_and_warm_after_its_seconds() -> None:
    now = [1_000.0]
    fates = Fates(Faults(cold_seconds=10, cold_latency=0.3, spread=0.1), "1", clock=lambda: now[0])

    def slow() -> int:
        return sum(fates.next().delay > 0.1 for _ in range(200))

    now[0] += 500  # waiting for work warms nothing
    assert slow() == 200
    now[0] += 5
    assert slow() == pytest.approx(100, abs=40)
    now[0] += 5
    assert slow() == 0


def test_nothing_is_held_for_ever() -> None:
    fates = Fates(Faults(extra_latency=60, spread=3), "1")
    assert max(fates.next().delay for _ in range(100)) == 60


def test_what_comes_beyond_a_processs_limit_in_any_second_fails() -> None:
    clock = iter([0.0, 0.3, 0.6, 0.9, 1.0, 1.2, 1.3, 5.0])
    overload = Overload(2, lambda: next(clock))
    assert [overload.fails() for _ in range(8)] == [False, False, True, True, False, True, False, False]


def test_a_load_of_twice_the_limit_fails_by_half_and_half_the_limit_by_nothing() -> None:
    def failed(rate: int) -> int:
        moments = iter([place / rate for place in range(10 * rate)])
        overload = Overload(16, lambda: next(moments))
        return sum(overload.fails() for _ in range(10 * rate))

    assert failed(32) == 160
    assert failed(8) == failed(16) == 0


async def test_a_version_with_a_limit_fails_under_load_only() -> None:
    async with subject(ERRORS_ABOVE="3") as it:
        assert (await it.get())[0] == 200
        codes = [status for status, _, _ in await asyncio.gather(*(it.get() for _ in range(60)))]
        assert set(codes) == {200, 500}
