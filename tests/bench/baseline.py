"""Good versions rolled back for their cold start, with `baseline: fresh` and without: processes behind a real router.

Each release is a canary of 20 % beside warm stable processes and, with as much work, new processes of stable's version.
New ones are cold: in the seconds after their first request most of what they answer is slow, then less and less. Two
judges, as the operator has them, see each release: one compares with the new processes of stable, one with the warm
ones. `warmUp` is off, as where a start takes longer than anybody has set.

What is real: the processes, the router that splits the work (Traefik, by weights), each request and its time, and the
tests with their budget. What is left out, so that 200 releases fit into a quarter of an hour: pods, the operator's
steps and the metric system. `tests/e2e/test_baseline.py` has all of that.
"""

import asyncio
import bisect
import itertools
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import yaml

from controller.analysis.method import method_of
from controller.api.analysis import Advanced, Analysis, Margin, Metric
from controller.stats.counts import Counts, Look
from controller.stats.judge import Judge
from hack.install import CHECKOUT
from hack.node import build
from hack.node.process import Daemon, free_port
from hack.node.trouble import TroubleError
from tests.bench.report import Report, Target
from tests.bench.world import say

STABLE, CANARY, BASELINE = "stable", "canary", "baseline"
WEIGHT = 20
RATE = 40.0
"""Requests per second of each service."""
LOOK_S = 1.0
SLOW_S = 0.1
ANALYSIS = Analysis(
    interval=LOOK_S,
    alpha=0.01,
    metrics=(Metric("latency", "http-latency", {}, Margin(1.25, 1.5), "spec"),),
    advanced=Advanced(settle=0.0, warm_up=0.0, min_bad_units=5, min_units=50),
)
ORDINARY = {"EXTRA_LATENCY": "0.2", "LATENCY_SPREAD": "0.1", "LATENCY_SHARE": "0.02"}
SLOWER = {**ORDINARY, "LATENCY_SHARE": "0.3"}
_START_S = 60.0
TARGETS: dict[str, Target] = {
    "releases": (">=", 200),
    "false_with_percent": ("<=", 1),
    "false_without_percent": (">=", 20),
    "slower_found_percent": (">=", 90),
}


@dataclass(frozen=True)
class Size:
    good: int
    slower: int
    at_once: int
    cold_s: float
    watched_s: float


FULL = Size(good=200, slower=40, at_once=8, cold_s=10.0, watched_s=30.0)
SMALL = Size(good=4, slower=4, at_once=4, cold_s=4.0, watched_s=16.0)


async def run(*, small: bool = False) -> Report:
    size = SMALL if small else FULL
    good: list[Judged] = []
    slower: list[Judged] = []
    waiting = [ORDINARY] * size.good + [SLOWER] * size.slower
    waiting.reverse()

    async def lane(router: Router, number: int) -> None:
        async with Service.started(router, number, size) as service:
            while waiting:
                faults = waiting.pop()
                (slower if faults is SLOWER else good).append(await service.release(faults))
                say(f"{len(good)} good and {len(slower)} slower releases are done")

    async with Router.started() as router, asyncio.TaskGroup() as lanes:
        for number in range(size.at_once):
            lanes.create_task(lane(router, number))
    figures = {
        "releases": len(good),
        "false_with_percent": _percent(one.with_baseline for one in good),
        "false_without_percent": _percent(one.without for one in good),
        "slower_releases": len(slower),
        "slower_found_percent": _percent(one.with_baseline for one in slower),
        "requests": sum(one.requests for one in (*good, *slower)),
    }
    return Report("baseline", figures, {} if small else TARGETS)


def _percent(found: Iterable[bool]) -> float:
    each = list(found)
    return round(100 * sum(each) / len(each), 1)


@dataclass(frozen=True)
class Judged:
    """Whether each of the two judges took the version for worse."""

    with_baseline: bool
    without: bool
    requests: int


class Router:
    """Traefik, whose weights stand in a file that it watches."""

    def __init__(self, port: int, file: Path) -> None:
        self.port = port
        self._file = file
        self._hosts: dict[str, dict[str, tuple[int, float]]] = {}

    @classmethod
    @asynccontextmanager
    async def started(cls) -> "AsyncIterator[Router]":
        program = await asyncio.to_thread(build.program, "traefik")
        with tempfile.TemporaryDirectory(prefix="pointsman-baseline-") as directory:
            here, port, admin = Path(directory), free_port(), free_port()
            routes = here / "routes"
            routes.mkdir()
            router = cls(port, routes / "routes.yaml")
            router.write()
            config = here / "traefik.yaml"
            config.write_text(yaml.safe_dump(_static(port, admin, routes)))
            daemon = Daemon(name="traefik", command=[program, f"--configFile={config}"], directory=here)
            daemon.start()
            try:
                await _until_answered(f"http://127.0.0.1:{admin}/ping")
                yield router
            finally:
                daemon.stop()

    def route(self, host: str, shares: dict[str, tuple[int, float]]) -> None:
        """By version its port and its weight in percent."""
        self._hosts[host] = shares
        self.write()

    def write(self) -> None:
        services: dict[str, object] = {}
        routers: dict[str, object] = {}
        for host, shares in self._hosts.items():
            name = host.partition(".")[0]
            routers[name] = {"rule": f"Host(`{host}`)", "service": name, "entryPoints": ["web"]}
            weighted = [{"name": f"{name}-{one}", "weight": round(share)} for one, (_, share) in shares.items()]
            services[name] = {"weighted": {"services": weighted}}
            for one, (port, _) in shares.items():
                services[f"{name}-{one}"] = {"loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{port}"}]}}
        found = {"http": {"routers": routers, "services": services}} if routers else {}
        # at once: what is half written would be read
        ready = self._file.with_suffix(".new")
        ready.write_text(yaml.safe_dump(found))
        ready.rename(self._file)


def _static(port: int, admin: int, routes: Path) -> dict[str, object]:
    return {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "entryPoints": {
            "web": {"address": f"127.0.0.1:{port}"},
            "traefik": {"address": f"127.0.0.1:{admin}"},
        },
        "ping": {},
        "providers": {"providersThrottleDuration": "100ms", "file": {"directory": str(routes), "watch": True}},
    }


async def _until_answered(url: str, headers: dict[str, str] | None = None) -> None:
    deadline = time.monotonic() + _START_S
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < deadline:
            try:
                async with session.get(url, headers=headers) as answer:
                    if answer.ok:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)
    raise TroubleError(f"{url} does not answer after {_START_S:g} s")


@asynccontextmanager
async def _process(revision: str, **faults: str) -> AsyncIterator[int]:
    """A process of the subject; the port that it serves at."""
    environment = {
        "PATH": os.environ["PATH"], "HOST": "127.0.0.1", "PORT": "0", "DRAIN_SECONDS": "0", "REVISION": revision,
        "POD": f"{revision}-{random.randrange(10**9)}",  # noqa: S311 - the seed of its faults
        **faults,
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "workloads.subject", cwd=CHECKOUT, env=environment, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(_START_S):
            port = json.loads(await process.stdout.readline())["port"]
        yield port
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@dataclass
class Answers:
    """When each revision's requests ended, and whether they were slow."""

    by_revision: dict[str, list[tuple[float, bool]]] = field(default_factory=dict)

    def add(self, revision: str, at: float, *, slow: bool) -> None:
        self.by_revision.setdefault(revision, []).append((at, slow))

    def counts(self, reference: str, start: float, end: float) -> Counts:
        return Counts(*self._of(CANARY, start, end), *self._of(reference, start, end))

    def _of(self, revision: str, start: float, end: float) -> tuple[int, int]:
        answers = sorted(self.by_revision.get(revision, []))
        first, last = (bisect.bisect_left(answers, (moment, False)) for moment in (start, end))
        return sum(slow for _, slow in answers[first:last]), last - first


@dataclass
class Service:
    """One service with warm processes of its stable version; one release after the other."""

    router: Router
    host: str
    stable: int
    """Its port."""
    size: Size

    @classmethod
    @asynccontextmanager
    async def started(cls, router: Router, number: int, size: Size) -> "AsyncIterator[Service]":
        async with _process(STABLE, **ORDINARY) as port:
            service = cls(router, f"service{number}.localhost", port, size)
            router.route(service.host, {STABLE: (port, 100)})
            await _until_answered(f"http://127.0.0.1:{router.port}/", {"Host": service.host})
            yield service

    async def release(self, faults: dict[str, str]) -> Judged:
        cold = {"COLD_SECONDS": f"{self.size.cold_s:g}", "COLD_LATENCY": "0.2"}
        answers = Answers()
        async with AsyncExitStack() as stack:
            canary = await stack.enter_async_context(_process(CANARY, **faults, **cold))
            baseline = await stack.enter_async_context(_process(BASELINE, **ORDINARY, **cold))
            self.router.route(
                self.host,
                {STABLE: (self.stable, 100 - 2 * WEIGHT), CANARY: (canary, WEIGHT), BASELINE: (baseline, WEIGHT)},
            )
            began = time.monotonic()
            await self._calls(answers)
            ended = time.monotonic()
            self.router.route(self.host, {STABLE: (self.stable, 100)})
            await asyncio.sleep(1)  # the router follows before they end
        requests = sum(map(len, answers.by_revision.values()))
        if not {STABLE, CANARY, BASELINE} <= answers.by_revision.keys():
            raise TroubleError(f"the router has sent nothing to some of three: {sorted(answers.by_revision)}")
        return Judged(
            with_baseline=_is_found(answers, BASELINE, began, ended),
            without=_is_found(answers, STABLE, began, ended),
            requests=requests,
        )

    async def _calls(self, answers: Answers) -> None:
        """At random moments, whatever the answers do."""
        loop, draw = asyncio.get_running_loop(), random.Random()  # noqa: S311 - moments of calls
        end = due = loop.time()
        end += self.size.watched_s
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
            asyncio.TaskGroup() as calls,
        ):
            while (due := due + draw.expovariate(RATE)) < end:
                await asyncio.sleep(max(0.0, due - loop.time()))
                calls.create_task(self._call(session, answers))

    async def _call(self, session: aiohttp.ClientSession, answers: Answers) -> None:
        began = time.monotonic()
        async with session.get(f"http://127.0.0.1:{self.router.port}/", headers={"Host": self.host}) as answer:
            await answer.read()
        if not answer.ok:
            raise TroubleError(f"the router answered {answer.status}")
        now = time.monotonic()
        answers.add(answer.headers["X-Revision"], now, slow=now - began > SLOW_S)


def _is_found(answers: Answers, reference: str, began: float, ended: float) -> bool:
    """Whether the operator's tests take the canary for worse than `reference`, look by look."""
    judge = Judge(method_of(ANALYSIS))
    beside = float(WEIGHT) if reference == BASELINE else None
    moments = itertools.takewhile(lambda start: start + LOOK_S <= ended, itertools.count(began, LOOK_S))
    for number, start in enumerate(moments, start=1):
        rows = {"latency": answers.counts(reference, start, start + LOOK_S)}
        judge.add(Look(number, start, start + LOOK_S, float(WEIGHT), rows, baseline=beside))
        if judge.evidence().regression is not None:
            return True
    return False
