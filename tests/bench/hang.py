"""A metric source that hangs for 60 s a query: what it delays of 300 Releases on it, and of two on none or another.

A control plane without nodes, the operator as a process, an InfluxDB, and a server that accepts queries and does not
answer. One Release is judged by the InfluxDB, one has no metrics: how long a new version of theirs takes is measured
alone, and again beside the 300 that wait for the hanging source. Then the canaries of all are aborted by a
ReleaseAction or lose their endpoints, one by one, and the time is taken until the route gives them no work.
"""

import asyncio
import itertools
import statistics
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from controller.api.names import RELEASE_LABEL
from controller.api.resources import (
    DEPLOYMENTS,
    HTTP_ROUTES,
    METRIC_SOURCES,
    METRIC_TEMPLATES,
    RELEASE_ACTIONS,
    RELEASES,
)
from controller.kube.client import KubeClient
from controller.kube.watch import Change, ChildWatch
from hack.node import build
from hack.node.influx import InfluxDB
from tests.bench.plane import Plane, at_once, now, plane, release_of, template_of
from tests.bench.pods import Pods
from tests.bench.report import Report, Target
from tests.bench.tasks import meanwhile
from tests.bench.traffic import count
from tests.bench.world import say
from tests.e2e.patience import until
from tests.integration.metric_source import offer

NAMESPACE = "hang"
HANGS_S = 60.0
PLAIN, JUDGED = "plain", "judged"
_CANARY = 20
_RATE = 500
_TEMPLATE, _HANGING = "http-errors-app", "hanging"
_PATIENCE_S = 300.0
_LAST_VERSION = 99
TARGETS: dict[str, Target] = {
    "abort_p99_s": ("<=", 1.0),
    "no_endpoints_p99_s": ("<=", 1.0),
    "other_source_ratio": ("<=", 1.2),
    "no_metrics_ratio": ("<=", 1.2),
}


@dataclass(frozen=True)
class Size:
    releases: int
    """On the hanging source."""
    rounds: int
    """Of the two others, alone and beside."""
    per_s: float
    """Aborts and lost endpoints."""
    gives_up_s: float
    """What has not come after so long counts as this."""
    into_the_hang_s: float
    """How long the source has hung when measuring begins: each look that is due waits for it."""


FULL = Size(releases=300, rounds=5, per_s=2.0, gives_up_s=120.0, into_the_hang_s=10.0)
SMALL = Size(releases=8, rounds=1, per_s=4.0, gives_up_s=30.0, into_the_hang_s=5.0)


async def run(*, small: bool = False) -> Report:
    size = SMALL if small else FULL
    build.ensure("influxd")
    with tempfile.TemporaryDirectory(prefix="pointsman-bench-") as directory, InfluxDB(Path(directory)) as influx:
        async with plane(NAMESPACE, controllers=False) as world, _Silence().listening() as silence:
            await offer(world.kube, NAMESPACE, influx, (_TEMPLATE,), patience="5s")
            await _offer_hanging(world.kube, silence.url)
            pods, routes = Pods(world.kube, NAMESPACE), _Routes(world.kube)
            traffic = count(world.kube, NAMESPACE, influx, rate=_RATE, again_s=1.0)
            world.start_operator(NAMESPACE)
            async with meanwhile(pods.run(), routes.run(), traffic):
                return await _Measuring(world, size, silence, pods, routes).report()


class _Measuring:
    def __init__(self, world: Plane, size: Size, silence: "_Silence", pods: Pods, routes: "_Routes") -> None:
        self._world, self._kube, self._size = world, world.kube, size
        self._silence, self._pods, self._routes = silence, pods, routes
        self._versions = itertools.count(1)
        self._left: list[str] = []
        """Whose canary still had work when the benchmark gave up."""

    async def report(self) -> Report:
        await at_once([self._kube.create(RELEASES, NAMESPACE, body) for body in (_plain(), _judged())])
        await self._until_all([PLAIN, JUDGED], lambda status: status.get("phase") == "Healthy")
        alone = await self._rounds("alone")
        hanging = [f"web-{number}" for number in range(self._size.releases)]
        await self._on_the_hanging_source(hanging)
        beside = await self._rounds(f"beside {len(hanging)}")
        aborts, losses = await self._taken_off([*hanging, *await self._under_way()])
        figures = {
            "abort_p99_s": _p99(aborts),
            "no_endpoints_p99_s": _p99(losses),
            "other_source_ratio": _ratio(beside[JUDGED], alone[JUDGED]),
            "no_metrics_ratio": _ratio(beside[PLAIN], alone[PLAIN]),
            "abort_median_s": round(statistics.median(aborts), 3),
            "no_endpoints_median_s": round(statistics.median(losses), 3),
            "other_source_alone_s": round(statistics.median(alone[JUDGED]), 2),
            "no_metrics_alone_s": round(statistics.median(alone[PLAIN]), 2),
            "releases": len(hanging),
            "queries_that_hung": self._silence.hung,
        }
        left = f"{len(self._left)} canaries still had work after {self._size.gives_up_s:g} s, which is counted for them"
        return Report("hang", figures, {} if self._size == SMALL else TARGETS, [left] if self._left else [])

    async def _on_the_hanging_source(self, names: Sequence[str]) -> None:
        """All at the canary's weight, and the source silent: until then it answers at once, that it has no data."""
        await at_once([self._kube.create(RELEASES, NAMESPACE, _waiting(name)) for name in names])
        await self._until_all(names, lambda status: status.get("phase") == "Healthy")
        await at_once([self._offer(name, _LAST_VERSION) for name in names])
        await self._until_all(names, lambda status: status.get("weight") == _CANARY)
        self._silence.is_silent = True
        say(f"{len(names)} Releases are at {_CANARY} %, and their source hangs")
        await until(lambda: self._silence.hung > 0, "a query hangs", _PATIENCE_S)
        await asyncio.sleep(self._size.into_the_hang_s)

    async def _rounds(self, what: str) -> dict[str, list[float]]:
        """Seconds from a new version to its promotion, of both."""
        took: dict[str, list[float]] = {PLAIN: [], JUDGED: []}
        for _ in range(self._size.rounds):
            version = next(self._versions)
            seconds = await asyncio.gather(*(self._promoted(name, version) for name in took))
            for each, one in zip(took.values(), seconds, strict=True):
                each.append(one)
        for name, each in took.items():
            say(f"{what}, {name}: a new version is promoted after {', '.join(f'{one:.1f}' for one in each)} s")
        return took

    async def _promoted(self, name: str, version: int) -> float:
        began = now()
        await self._offer(name, version)

        async def is_healthy() -> bool:
            release = await self._kube.get(RELEASES, NAMESPACE, name)
            status = release["status"]
            current = status["observedGeneration"] >= release["metadata"]["generation"]
            return bool(current and status.get("phase") == "Healthy") or now() - began > self._size.gives_up_s

        await until(is_healthy, f"version {version} of {name} is promoted", _PATIENCE_S)
        return now() - began

    async def _under_way(self) -> list[str]:
        """The two that the source does not concern, with a canary too; without one that has not come so far."""
        names = [PLAIN, JUDGED]
        steps = [{"weight": _CANARY}, {"approve": {}}]
        patch = {"spec": {"strategy": {"canary": {"steps": steps}}, "template": template_of(f"web:{_LAST_VERSION}")}}
        await at_once([self._kube.patch(RELEASES, NAMESPACE, name, patch) for name in names])
        began = now()

        async def stand_there() -> bool:
            return all(self._routes.canarys.get(name) for name in names) or now() - began > self._size.gives_up_s

        await until(stand_there, "the two others are under way", _PATIENCE_S)
        return [name for name in names if self._routes.canarys.get(name)]

    async def _taken_off(self, names: Sequence[str]) -> tuple[list[float], list[float]]:
        """Seconds from the request, or the loss, until the route gives the canary nothing, of every other each."""
        aborts: list[float] = []
        losses: list[float] = []
        began = now()
        async with asyncio.TaskGroup() as group:
            for number, name in enumerate(names):
                await asyncio.sleep(max(0.0, began + number / self._size.per_s - now()))
                how, into = ((self._abort, aborts), (self._lose, losses))[number % 2]
                group.create_task(self._timed(how, name, into))
        say(f"aborts: {_spread(aborts)}; lost endpoints: {_spread(losses)}")
        return aborts, losses

    async def _timed(self, how: Callable[[str, str], Awaitable[None]], name: str, into: list[float]) -> None:
        canary = self._routes.canarys[name]
        assert canary, f"{name} has no canary"
        began = now()
        await how(name, canary)
        seconds = self._size.gives_up_s
        try:
            async with asyncio.timeout(self._size.gives_up_s):
                seconds = await self._routes.without_work(name) - began
        except TimeoutError:
            self._left.append(name)
        into.append(seconds)

    async def _abort(self, name: str, canary: str) -> None:
        spec = {"release": name, "action": "abort", "revision": canary, "reason": "a benchmark", "requestedBy": "ana"}
        body = {"apiVersion": RELEASE_ACTIONS.api_version, "kind": RELEASE_ACTIONS.kind, "spec": spec}
        await self._kube.create(RELEASE_ACTIONS, NAMESPACE, {**body, "metadata": {"name": f"{name}-abort"}})

    async def _lose(self, name: str, canary: str) -> None:
        await self._pods.lose(await self._kube.get(DEPLOYMENTS, NAMESPACE, f"{name}-{canary}"))

    async def _offer(self, name: str, version: int) -> None:
        await self._kube.patch(RELEASES, NAMESPACE, name, {"spec": {"template": template_of(f"web:{version}")}})

    async def _until_all(self, names: Sequence[str], met: Callable[[dict[str, Any]], bool]) -> None:
        wanted = set(names)

        async def all_have() -> bool:
            found = await self._kube.list(RELEASES, NAMESPACE)
            return wanted <= {item["metadata"]["name"] for item in found if met(item["status"])}

        await until(all_have, f"{len(names)} Releases are where they should be", _PATIENCE_S)


# -- the world -----------------------------------------------------------------------------------------------------


@dataclass
class _Silence:
    """A server of InfluxDB's protocol that has no data, and once `is_silent`, no answer."""

    url: str = ""
    is_silent: bool = False
    hung: int = 0
    _end: asyncio.Event = field(default_factory=asyncio.Event)

    async def _answer(self, _: web.Request) -> web.Response:
        if self.is_silent:
            self.hung += 1
            try:
                async with asyncio.timeout(HANGS_S):
                    await self._end.wait()
            except TimeoutError:
                return web.Response(status=504)
        return web.json_response({"results": [{"statement_id": 0}]})

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["_Silence"]:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            self._end.set()
            await runner.cleanup()


class _Routes:
    """Who has a canary with work, as a router that watches its routes sees it."""

    def __init__(self, kube: KubeClient) -> None:
        self.canarys: dict[str, str] = {}
        """The lesser of two revisions with work, by Release."""
        self._off: dict[str, asyncio.Future[float]] = {}
        self._watch = ChildWatch(kube, HTTP_ROUTES, RELEASE_LABEL, self._seen, namespace=NAMESPACE)

    async def run(self) -> None:
        await self._watch.run()

    def _seen(self, change: Change) -> None:
        if change.item is None or change.gone:
            return
        name = change.metadata["name"]
        weights = {
            backend["name"].removeprefix(f"{name}-"): backend.get("weight", 1)
            for backend in change.item["spec"]["rules"][0]["backendRefs"]
        }
        working = [revision for revision, weight in weights.items() if weight]
        self.canarys[name] = min(working, key=weights.__getitem__) if len(working) > 1 else ""
        waiting = self._off.get(name)
        if not self.canarys[name] and waiting is not None and not waiting.done():
            waiting.set_result(now())

    async def without_work(self, name: str) -> float:
        """The moment at which its canary had no work."""
        if not self.canarys[name]:
            return now()
        self._off[name] = asyncio.get_running_loop().create_future()
        return await self._off[name]


async def _offer_hanging(kube: KubeClient, url: str) -> None:
    source = await kube.get(METRIC_SOURCES, NAMESPACE, "default")
    influxdb = {**source["spec"]["influxdb"], "url": url, "timeout": f"{HANGS_S:g}s"}
    metadata, spec = {"name": _HANGING}, {**source["spec"], "influxdb": influxdb}
    kind = {"apiVersion": METRIC_SOURCES.api_version, "kind": METRIC_SOURCES.kind}
    await kube.create(METRIC_SOURCES, NAMESPACE, {**kind, "metadata": metadata, "spec": spec})
    template = await kube.get(METRIC_TEMPLATES, NAMESPACE, _TEMPLATE)
    spec = {**template["spec"], "source": _HANGING}
    kind = {"apiVersion": METRIC_TEMPLATES.api_version, "kind": METRIC_TEMPLATES.kind}
    await kube.create(METRIC_TEMPLATES, NAMESPACE, {**kind, "metadata": metadata, "spec": spec})


def _plain() -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"weight": _CANARY}, {"pause": {"for": "1s"}}, {"weight": 50}]
    return release_of(PLAIN, "web:0", *steps, replicas=1, drain={"quiet": "0s", "max": "5s"})


def _judged() -> dict[str, Any]:
    step = {"weight": _CANARY, "analyze": {"atLeast": "3s", "atMost": "6s"}}
    analysis = _analysis(_TEMPLATE) | {"interval": "1s", "onTimeout": "proceed"}
    return release_of(JUDGED, "web:0", step, replicas=1, drain={"quiet": "0s", "max": "5s"}, analysis=analysis)


def _waiting(name: str) -> dict[str, Any]:
    step = {"weight": _CANARY, "analyze": {"atLeast": "2h", "atMost": "3h"}}
    return release_of(name, "web:0", step, replicas=1, analysis=_analysis(_HANGING))


def _analysis(template: str) -> dict[str, Any]:
    return {"interval": "5s", "metrics": [{"name": "errors", "template": template}]}


def _p99(seconds: Sequence[float]) -> float:
    ordered = sorted(seconds)
    return round(ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)], 3)


def _ratio(beside: Sequence[float], alone: Sequence[float]) -> float:
    return round(statistics.median(beside) / statistics.median(alone), 3)


def _spread(seconds: Sequence[float]) -> str:
    return f"{len(seconds)}, median {statistics.median(seconds):.2f} s, worst {max(seconds):.2f} s"
