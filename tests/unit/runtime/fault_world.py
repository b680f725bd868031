"""Operators, the API server and everything else in one event loop whose clock jumps to whatever comes next.

def story(world):
    world.start()
    await world.until_phase("web", "Healthy")

run(story, weather=Refusing(503, 0.3))
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import looptime

from controller.analysis.measuring import Measuring
from controller.analysis.sources import Sources
from controller.api.resources import (
    ANALYSIS_RUNS,
    DEPLOYMENTS,
    GATEWAY_CLASSES,
    GATEWAYS,
    HTTP_ROUTES,
    NAMESPACES,
    RELEASE_ACTIONS,
    RELEASES,
    SERVICES,
    Resource,
)
from controller.kube.clock import SteadyClock
from controller.kube.lease import Lease
from controller.runtime.controller import Event, Request
from controller.runtime.event_router import EventRouter
from controller.runtime.operator import LEASE_NAME, Operator, lead
from controller.runtime.settings import Settings, settings
from tests.unit.runtime.fake_api import Change, FakeApi, Object
from tests.unit.runtime.fake_client import FakeClient, Weather
from tests.unit.runtime.fake_cluster import CountingSources, FakeCluster

EPOCH = 1_800_000_000.0
HOME = "pointsman-system"
SHOP = "shop"
LEASE_S = 15.0


class RunningOperator:
    """One process, as far as anybody can tell."""

    def __init__(self, world: World, name: str, clock_ahead: float = 0.0) -> None:
        self.name = name
        self.clock_ahead = clock_ahead
        """Seconds by which its machine's clock is wrong."""
        self.kube = FakeClient(world.api, lambda: world.weather, name)
        self.kube.clock = SteadyClock(lambda: world.now() + self.clock_ahead, asyncio.get_running_loop().time)
        self.operator: Operator | None = None
        self.reconciles: list[float] = []
        """When each ended. They are counted: what one asks of the API server depends on what is cached."""
        self.may_end = False
        """Whether a test expects it to lose its Lease."""
        self.ends_within = 0.0
        """Seconds for which its watches hold up its end, as kopf's can, while workers go on."""
        self._world = world
        self.task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        operator = await Operator.assemble(self.kube, HOME)
        loop, reconciler = asyncio.get_running_loop(), operator.reconciler
        sources = self._world.sources()
        queue = operator.event_router.queues[RELEASES.kind]
        finish = queue.finish

        def finish_and_count(key: Request) -> None:
            finish(key)
            self.reconciles.append(loop.time())

        queue.finish = finish_and_count  # type: ignore[method-assign]
        reconciler.sources = sources
        operator.analysis.measuring = Measuring(reconciler.runs, sources, clock=self.kube.clock.now)
        self.operator = operator
        lease = Lease(self.kube, HOME, LEASE_NAME, self.name, duration_s=LEASE_S, monotonic=loop.time)
        await lead(operator, lease, settings(namespace=HOME, workers=4, environ={}), self._feed)

    async def _feed(self, event_router: EventRouter, _: Settings) -> None:
        """In kopf's place, and as little to be relied on: it lists once, and then knows what events tell."""
        arrived: asyncio.Queue[Change] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def told(change: Change) -> None:
            loop.call_soon_threadsafe(arrived.put_nowait, change)

        for resource in (RELEASES, RELEASE_ACTIONS):
            for item in self._world.api.objects(resource.path()):
                arrived.put_nowait(Change(0, resource.path(), "ADDED", item))
        self._world.api.listeners.append(told)
        try:
            while True:
                change = await arrived.get()
                await asyncio.sleep(0)  # each comes by itself, however many there are
                for seen in self._world.weather.deliver(self.name, change) if change.version else [change]:
                    for resource in (RELEASES, RELEASE_ACTIONS):
                        if seen.collection == resource.path():
                            event_router.on_event(Event(resource, seen.object, gone=seen.type == "DELETED"))
        finally:
            self._world.api.listeners.remove(told)
            await asyncio.sleep(self.ends_within)

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


class World:
    def __init__(self, weather: Weather | None = None) -> None:
        self.weather = weather or Weather()
        self.api = FakeApi(self.now)
        self.cluster = FakeCluster(self.api, self.now)
        self.failing: set[str] = set()
        self.sources: Callable[[], Sources] = lambda: CountingSources(self.api, self.failing)
        """Made by each operator."""
        self.operators: list[RunningOperator] = []
        self.api.handle("POST", NAMESPACES.path(), {}, {"metadata": {"name": "kube-system"}})

    def now(self) -> float:
        return EPOCH + asyncio.get_running_loop().time()

    def start(self, name: str = "a", *, clock_ahead: float = 0.0) -> RunningOperator:
        operator = RunningOperator(self, name, clock_ahead)
        self.operators.append(operator)
        return operator

    def gateway_copies(self) -> None:
        """There is a Gateway, of a class that can copy requests."""
        features = [{"name": f"HTTPRouteRequest{one}"} for one in ("Mirror", "PercentageMirror")]
        status = {"conditions": [{"type": "Accepted", "status": "True"}], "supportedFeatures": features}
        self.create(GATEWAYS, {"metadata": {"name": "public"}, "spec": {"gatewayClassName": "able"}})
        able = {"metadata": {"name": "able"}, "spec": {}, "status": status}
        assert self.api.handle("POST", GATEWAY_CLASSES.path(), {}, able).status == 201

    # -- what people do, and see; their requests are not disturbed ---------------------------------------------------

    def create(self, resource: Resource, body: Object, namespace: str = SHOP) -> None:
        answer = self.api.handle("POST", resource.path(namespace), {}, body)
        assert answer.status == 201, answer.body

    def patch(self, name: str, patch: Object) -> None:
        answer = self.api.handle("PATCH", RELEASES.path(SHOP, name), {}, patch)
        assert answer.status == 200, answer.body

    def commit(self, name: str, version: int) -> None:
        self.patch(name, {"spec": {"template": template(version)}})

    def ask(self, name: str, action: str) -> None:
        revision = self.status(name)["canaryRevision"]
        spec = {"release": name, "action": action, "revision": revision, "reason": "because"}
        self.create(RELEASE_ACTIONS, {"metadata": {"name": f"{name}-{action}-{revision}"}, "spec": spec})

    def delete(self, name: str) -> None:
        self.api.handle("DELETE", RELEASES.path(SHOP, name), {}, None)

    def release(self, name: str) -> Object:
        return self.api.handle("GET", RELEASES.path(SHOP, name), {}, None).body

    def status(self, name: str) -> Object:
        status: Object = self.release(name)["status"]
        return status

    async def until(self, met: Callable[[], Any], seconds: float = 900.0) -> None:
        """Polls: what is polled costs nothing, and whoever notices first must not be told by what is tested."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not met():
            for operator in self.operators:
                if operator.task.done() and not operator.may_end:
                    operator.task.result()
            assert loop.time() < end, f"not within {seconds:g} s: {self.picture()}"
            await asyncio.sleep(0.25)

    async def until_phase(self, name: str, phase: str, version: int = 0, seconds: float = 900.0) -> None:
        """Of the present spec; `version` also has to be the stable one."""

        def met() -> bool:
            release = self.release(name)
            status, current = release["status"], release["metadata"]["generation"]
            stable = version == 0 or self.image_of(name, status.get("stableRevision", "")) == f"web:{version}"
            return status["observedGeneration"] == current and status.get("phase") == phase and stable

        await self.until(met, seconds)

    async def until_reason(self, name: str, reason: str, seconds: float = 900.0) -> None:
        await self.until(lambda: self.status(name).get("reason") == reason, seconds)

    async def until_answered(self) -> None:
        await self.until(lambda: None not in self.picture()["answers"].values())

    def image_of(self, name: str, revision: str) -> str:
        answer = self.api.handle("GET", DEPLOYMENTS.path(SHOP, f"{name}-{revision}"), {}, None)
        return str(answer.body["spec"]["template"]["spec"]["containers"][0]["image"]) if answer.status == 200 else ""

    def picture(self) -> dict[str, Any]:
        """Where everything ended, without moments and names that are drawn."""
        releases = {}
        for item in self.api.objects(RELEASES.path()):
            status = item["status"]
            kept = (
                "phase",
                "reason",
                "stableRevision",
                "canaryRevision",
                "weight",
                "replicas",
                "readyReplicas",
                "attempt",
            )
            releases[item["metadata"]["name"]] = {
                **{name: status.get(name) for name in kept},
                "rejected": [(one["revision"], one["reason"]) for one in status.get("rejected", [])],
                "conditions": {one["type"]: (one["status"], one["reason"]) for one in status.get("conditions", [])},
                "finalizers": item["metadata"].get("finalizers"),
            }
        return {
            "releases": releases,
            "deployments": {
                item["metadata"]["name"]: item["spec"]["replicas"] for item in self.api.objects(DEPLOYMENTS.path())
            },
            "services": {
                item["metadata"]["name"]: item["spec"]["selector"] for item in self.api.objects(SERVICES.path())
            },
            "routes": {
                item["metadata"]["name"]: [
                    (one["name"], one.get("weight", 1)) for one in item["spec"]["rules"][0]["backendRefs"]
                ]
                for item in self.api.objects(HTTP_ROUTES.path())
            },
            "verdicts": {
                item["metadata"]["name"]: item["status"]["verdict"] for item in self.api.objects(ANALYSIS_RUNS.path())
            },
            "answers": {
                item["metadata"]["name"]: item.get("status", {}).get("result")
                for item in self.api.objects(RELEASE_ACTIONS.path())
            },
        }


def template(version: int) -> Object:
    return {"spec": {"containers": [{"name": "web", "image": f"web:{version}"}]}}


def release(
    name: str, *steps: Object, metrics: bool = False, metric_template: str = "http-errors", **spec: Any
) -> Object:
    body: Object = {
        "apiVersion": RELEASES.api_version,
        "kind": RELEASES.kind,
        "metadata": {"name": name},
        "spec": {
            "replicas": 2,
            "template": template(1),
            "service": {"ports": [{"port": 80}]},
            "traffic": {"gatewayAPI": {"parentRefs": [{"name": "public"}], "hostnames": [f"{name}.localhost"]}},
            "strategy": {"canary": {"steps": list(steps)}},
            "drain": {"quiet": "1s", "max": "5s"},
            **spec,
        },
    }
    if metrics:
        metric = {"name": "errors", "template": metric_template, "margin": {"rollbackAbove": 1.1}}
        body["spec"]["analysis"] = {"interval": "5s", "metrics": [metric]}
    return body


Story = Callable[[World], Awaitable[None]]


async def rolled_back(world: World, **spec: Any) -> None:
    """Version 2 of Release web was at 20 %, and somebody aborted it."""
    world.create(RELEASES, release("web", {"weight": 20}, {"approve": {}}, **spec))
    world.start()
    await world.until_phase("web", "Healthy", 1)
    world.commit("web", 2)
    await world.until_reason("web", "AwaitingApproval")
    world.ask("web", "abort")
    await world.until_phase("web", "RolledBack")


def run(story: Story, weather: Weather | None = None) -> World:
    """Minutes in milliseconds: the loop's clock jumps when nothing is left to do at a moment."""
    logger = logging.getLogger("controller")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with asyncio.Runner(loop_factory=loop_at(0.0)) as runner:
            return runner.run(_tell(story, weather))
    finally:
        logger.setLevel(before)  # other tests read what is logged


def loop_at(start: float) -> Callable[[], asyncio.AbstractEventLoop]:
    return lambda: looptime.new_event_loop(start=start, noop_cycles=0)


async def _tell(story: Story, weather: Weather | None) -> World:
    world = World(weather)
    async with _stopping(world):
        await story(world)
    return world


@contextlib.asynccontextmanager
async def _stopping(world: World) -> AsyncIterator[None]:
    try:
        yield
    finally:
        world.weather = Weather()
        for operator in world.operators:
            await operator.stop()
