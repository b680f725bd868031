"""Plain Deployments are adopted, aborted, adopted again, released and ejected, under load: what fails of 20,000.

The service is the subject, twice: once with an HTTPRoute of its owner's that the Release splits (`route: {name}`), and
once with two of them, so that none is taken and its pods share the Service (`replicas`). Callers come from outside,
through the gateway, and from inside, at the Service's address, on a connection of their own each.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from controller.api.names import BEFORE
from controller.api.resources import DEPLOYMENTS, HTTP_ROUTES, RELEASES, SERVICES
from hack.load import Load, Snapshot
from tests.bench.report import Report, Target
from tests.bench.world import Bench, bench, say
from tests.e2e.callers import Callers, is_answered
from tests.e2e.patience import until
from tests.e2e.shop import APPROVE, SHORT_DRAIN, Shop, weight

RATE = 130.0
"""Requests a second from outside, to both services."""
FRESH = 0.3
ENOUGH = 20_000
_PATIENCE_S = 180.0
_GOES_ON_S = 3.0
_FOLLOWED_S = 2.0
"""In which a gateway has read a route that was written; seen: 1.6 s at most."""
_HALF = (40.0, 60.0)
AT_ANY_SIZE = ("failed",)
TARGETS: dict[str, Target] = {"requests": (">=", ENOUGH), "failed": ("<=", 0)}


@dataclass
class Service:
    """One that somebody runs who has never heard of Pointsman. `routes`: names of HTTPRoutes that lead to it."""

    shop: Shop
    routes: tuple[str, ...]
    traffic: dict[str, Any]
    """As `pointsman adopt` has to find out."""
    folder: Path
    load: Load
    callers: Callers
    split: list[float] = field(default_factory=list)
    """Percent of the requests through the gateway that the new version answered, of each split."""
    strays: int = 0
    """Requests inside that it answered while others were split, of a Service that is not to take part in that."""
    reapplied: list[float] = field(default_factory=list)
    """Seconds after which the route was split again, each time that its owner had applied it."""

    @property
    def old(self) -> str:
        return f"{self.shop.name}-before"

    @property
    def is_split(self) -> bool:
        return "gatewayAPI" in self.traffic

    @property
    def requests(self) -> int:
        return self.load.snapshot().sent + len(self.callers.answers) + len(self.callers.failures)


async def run(*, small: bool = False, rate: float = RATE) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        async with bench("adopt") as world:
            making = partial(_service, world, Path(folder), rate / 2)
            routed = making("web", ("web-front",), {"gatewayAPI": {"route": {"name": "web-front"}}})
            shared = making("plain", ("plain-front", "plain-other"), {"replicas": {}})
            async with routed as first, shared as second:
                services = (first, second)

                def is_enough() -> bool:
                    return small or sum(one.requests for one in services) >= ENOUGH

                await asyncio.gather(*(_lived(one, is_enough) for one in services))
                seen = [await one.load.stop() for one in services]
    return _report(services, seen, small=small)


def _report(services: tuple[Service, ...], seen: list[Snapshot], *, small: bool) -> Report:
    figures: dict[str, float] = {"requests": 0, "failed": 0, "outside": 0, "inside": 0, "skipped": 0}
    notes: list[str] = []
    for service, outside in zip(services, seen, strict=True):
        broken = service.callers.failed(since=0.0)
        inside = len(service.callers.answers) + len(service.callers.failures)
        how = "route" if service.is_split else "replicas"
        figures["requests"] += outside.sent + inside
        figures["failed"] += outside.failed + len(broken)
        figures["outside"] += outside.sent
        figures["inside"] += inside
        figures["skipped"] += outside.skipped
        figures[f"requests_{how}"] = outside.sent + inside
        notes.append(f"{how}: outside {outside.sent} requests, {outside.failed} failed; codes {outside.codes}, ")
        notes[-1] += f"said {outside.reasons}, without an answer {outside.transport}, ms {outside.latency_ms}"
        notes.append(f"{how}: inside {inside} requests, {len(broken)} failed {broken[:5]}")
        if service.is_split:
            figures["splits"], figures["reapplied"] = len(service.split), len(service.reapplied)
            figures["split_again_s_most"] = round(max(service.reapplied), 2)
            figures["split_percent_least"], figures["split_percent_most"] = min(service.split), max(service.split)
            figures["inside_by_canary"] = service.strays
    targets = {name: target for name, target in TARGETS.items() if not small or name in AT_ANY_SIZE}
    return Report("adopt", figures, targets, notes)


async def _lived(service: Service, is_enough: Callable[[], bool]) -> None:
    """From the adoption to where Pointsman is gone from it."""
    shop = service.shop
    await asyncio.sleep(_GOES_ON_S)
    await _adopt_and_abort(service)
    await _adopt(service)
    await _release(service, "aborted", aborts=True)
    for number in range(1, 100):
        await _release(service, f"released-{number}")
        if is_enough():
            break
    typed = await shop.pointsman("eject", shop.name)
    assert typed.code == 0, typed.text
    say(typed.text)
    await _until_as_before(service)
    await asyncio.sleep(_GOES_ON_S)


# -- what there is -------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _service(
    world: Bench, folder: Path, rate: float, name: str, routes: tuple[str, ...], traffic: dict[str, Any]
) -> AsyncIterator[Service]:
    """It answers, and is called."""
    shop = Shop(world.cluster, world.kube, world.namespace, name)
    host = f"{name}.{shop.host}"
    spec = yaml.safe_load(shop.manifest.read_text())["spec"]
    labels = {"app": name}
    template = spec["template"] | {"metadata": {"labels": labels}}
    deployment = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    ports = spec["service"]["ports"]
    for resource, made, body in (
        (DEPLOYMENTS, f"{name}-before", deployment),
        (SERVICES, name, {"selector": labels, "ports": ports}),
    ):
        await world.kube.create(resource, world.namespace, _manifest(resource, made, body))
    for number, route in enumerate(routes):
        rules = [{"backendRefs": [{"name": name, "port": ports[0]["port"]}]}]
        hosts = [host if number == 0 else f"{route}.{shop.host}"]
        parents = spec["traffic"]["gatewayAPI"]["parentRefs"]
        body = {"parentRefs": parents, "hostnames": hosts, "rules": rules}
        file = folder / f"{route}.json"
        file.write_text(json.dumps(_manifest(HTTP_ROUTES, route, body)))
        typed = await shop.kubectl("apply", "-f", str(file))
        assert typed.code == 0, typed.text

    async def serves() -> bool:
        found = await world.kube.get(DEPLOYMENTS, world.namespace, f"{name}-before")
        return bool(found.get("status", {}).get("readyReplicas") == 2)

    await until(serves, "the Deployment serves", _PATIENCE_S)
    await until(lambda: shop.is_routed(host), "the gateway answers")
    inside = await shop.address_inside()
    await until(lambda: is_answered(inside), "the Service's address answers")
    async with Callers(inside).calling() as callers, shop.load(rate, FRESH, host=host) as load:
        yield Service(shop, routes, traffic, folder, load, callers)


def _manifest(resource: Any, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}, "spec": spec}


async def _until_as_before(service: Service) -> None:
    """Its routes lead to the Service, and nothing of Pointsman's is in them."""

    async def is_given_back() -> bool:
        found = [await service.shop.kube.get(HTTP_ROUTES, service.shop.namespace, one) for one in service.routes]
        backends = [rule["backendRefs"] for route in found for rule in route["spec"]["rules"]]
        marked = any(BEFORE in (route["metadata"].get("annotations") or {}) for route in found)
        return not marked and all([one["name"] for one in led] == [service.shop.name] for led in backends)

    await until(is_given_back, "the routes are as before")


# -- what is done to it --------------------------------------------------------------------------------------------


async def _planned(service: Service, **spec: Any) -> dict[str, Any]:
    typed = await service.shop.pointsman("adopt", f"deployment/{service.old}", "--json")
    assert typed.code == 0, typed.text
    release: dict[str, Any] = json.loads(typed.text)["release"]
    assert release["spec"]["traffic"] == service.traffic
    steps = [weight(50), APPROVE]
    release["spec"] |= {"strategy": {"canary": {"steps": steps}}, "drain": SHORT_DRAIN, **spec}
    return release


async def _adopt_and_abort(service: Service) -> None:
    """While the version that has the work must keep to a limit; then the Release is deleted."""
    shop = service.shop
    limit = {"name": "errors", "template": "http-errors", "limit": {"max": "50%"}}
    release = await _planned(service, analysis={"metrics": [limit]}, bake={"for": "10m", "holdback": "5%"})
    await shop.kube.create(RELEASES, shop.namespace, release)
    await shop.until(lambda status: status.get("reason") in ("Baking", "SourceOutage"), _PATIENCE_S)
    await asyncio.sleep(_GOES_ON_S)
    await shop.ask("abort")
    await shop.until_phase("RolledBack", seconds=_PATIENCE_S)
    await shop.delete()
    found = await shop.kube.get(SERVICES, shop.namespace, shop.name)
    assert found["spec"]["selector"] == {"app": shop.name}
    await _until_as_before(service)
    await asyncio.sleep(_GOES_ON_S)


async def _adopt(service: Service) -> None:
    shop = service.shop
    await shop.kube.create(RELEASES, shop.namespace, await _planned(service))
    await shop.until_phase("Healthy", seconds=_PATIENCE_S)
    old = await shop.kube.get(DEPLOYMENTS, shop.namespace, service.old)
    assert old["spec"]["replicas"] == 0
    await asyncio.sleep(_GOES_ON_S)


async def _release(service: Service, version: str, *, aborts: bool = False) -> None:
    """A version that differs gets half of the requests, and then all of them or none."""
    shop = service.shop
    await shop.commit(VERSION=version)
    status = await shop.until(lambda status: status.get("reason") == "AwaitingApproval", _PATIENCE_S)
    if service.is_split:
        await _count_split(service, status["canaryRevision"])
        await _reapply(service)
    await asyncio.sleep(_GOES_ON_S)
    await shop.ask("abort" if aborts else "approve")
    await shop.until_phase("RolledBack" if aborts else "Healthy", seconds=_PATIENCE_S)
    await _until_as_before(service)


async def _count_split(service: Service, canary: str) -> None:
    await asyncio.sleep(_FOLLOWED_S)
    began, before = time.time(), service.load.snapshot().revisions
    await asyncio.sleep(_GOES_ON_S)
    after = service.load.snapshot().revisions
    inside = service.callers.answered(since=began)
    answers = {one: tally.answers - (before[one].answers if one in before else 0) for one, tally in after.items()}
    percent = 100 * answers.get(canary, 0) / sum(answers.values())
    assert _HALF[0] < percent < _HALF[1], answers
    service.split.append(round(percent, 1))
    service.strays += inside[canary]


async def _reapply(service: Service) -> None:
    """Its owner applies the route in mid-release: all goes to stable until it is split again."""
    shop, (name,) = service.shop, service.routes

    async def is_split() -> bool:
        route = await shop.kube.get(HTTP_ROUTES, shop.namespace, name)
        return len(route["spec"]["rules"][0]["backendRefs"]) == 2

    typed = await shop.kubectl("apply", "-f", str(service.folder / f"{name}.json"))
    assert typed.text.strip().endswith("configured"), typed.text
    began = time.monotonic()
    await until(is_split, "the route is split again")
    service.reapplied.append(time.monotonic() - began)
