"""A plain Deployment is adopted, aborted, adopted again, released and ejected, under load: what fails of 20,000.

The service is the subject with a Service and an HTTPRoute in front, as people have them. Callers come from outside,
through the gateway to the Service, and from inside, at the Service's address, on a connection of their own each.
"""

import asyncio
import json
from typing import Any

import yaml

from controller.api.resources import DEPLOYMENTS, HTTP_ROUTES, RELEASES, SERVICES
from tests.bench.report import Report, Target
from tests.bench.world import Bench, bench, say
from tests.e2e.callers import Callers, is_answered
from tests.e2e.patience import until
from tests.e2e.shop import SHORT_DRAIN, Shop, pause, weight

NAME, OLD = "web", "web-before"
RATE = 150.0
FRESH = 0.3
ENOUGH = 20_000
_PATIENCE_S = 180.0
_GOES_ON_S = 3.0
AT_ANY_SIZE = ("failed",)
TARGETS: dict[str, Target] = {"requests": (">=", ENOUGH), "failed": ("<=", 0)}


async def run(*, small: bool = False) -> Report:
    notes: list[str] = []
    async with bench("adopt") as world:
        shop = Shop(world.cluster, world.kube, world.namespace, NAME)
        await _given(world, shop)
        async with Callers(await shop.address_inside()).calling() as callers, shop.load(RATE, FRESH) as load:
            await asyncio.sleep(_GOES_ON_S)
            await _adopt_and_abort(shop)
            await _adopt(shop)
            for number in range(1, 100):
                await shop.commit(VERSION=f"released-{number}")
                await shop.until(lambda status: "canaryRevision" in status, _PATIENCE_S)
                await shop.until_phase("Healthy", seconds=_PATIENCE_S)
                if small or load.snapshot().sent >= ENOUGH:
                    break
            typed = await shop.pointsman("eject", NAME)
            assert typed.code == 0, typed.text
            say(typed.text)
            await asyncio.sleep(_GOES_ON_S)
            seen = await load.stop()
        inside, broken = len(callers.answers) + len(callers.failures), callers.failed(since=0.0)
    notes.append(f"outside: {seen.sent} requests, {seen.failed} failed; codes {seen.codes}, said {seen.reasons}")
    notes.append(
        f"outside without an answer {seen.transport}; inside: {inside} requests, {len(broken)} failed {broken[:5]}"
    )
    figures: dict[str, float] = {"requests": seen.sent + inside, "failed": seen.failed + len(broken)}
    figures |= {"outside": seen.sent, "inside": inside, "skipped": seen.skipped}
    targets = {name: target for name, target in TARGETS.items() if not small or name in AT_ANY_SIZE}
    return Report("adopt", figures, targets, notes)


async def _given(world: Bench, shop: Shop) -> None:
    """As somebody has it who has never heard of Pointsman."""
    spec = yaml.safe_load(shop.manifest.read_text())["spec"]
    labels = {"app": NAME}
    template = spec["template"] | {"metadata": {"labels": labels}}
    deployment = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    ports = spec["service"]["ports"]
    rules = [{"backendRefs": [{"name": NAME, "port": ports[0]["port"]}]}]
    route = {"parentRefs": spec["traffic"]["gatewayAPI"]["parentRefs"], "hostnames": [shop.host], "rules": rules}
    for resource, name, body in (
        (DEPLOYMENTS, OLD, deployment),
        (SERVICES, NAME, {"selector": labels, "ports": ports}),
        (HTTP_ROUTES, "front", route),
    ):
        made = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}, "spec": body}
        await world.kube.create(resource, world.namespace, made)

    async def serves() -> bool:
        found = await world.kube.get(DEPLOYMENTS, world.namespace, OLD)
        return bool(found.get("status", {}).get("readyReplicas") == 2)

    await until(serves, "the Deployment serves", _PATIENCE_S)
    await until(lambda: shop.is_routed(shop.host), "the gateway answers")
    inside = await shop.address_inside()
    await until(lambda: is_answered(inside), "the Service's address answers")


async def _planned(shop: Shop, **spec: Any) -> dict[str, Any]:
    typed = await shop.pointsman("adopt", f"deployment/{OLD}", "--json")
    assert typed.code == 0, typed.text
    release: dict[str, Any] = json.loads(typed.text)["release"]
    steps = [weight(50), pause(3)]
    release["spec"] |= {"strategy": {"canary": {"steps": steps}}, "drain": SHORT_DRAIN, **spec}
    return release


async def _adopt_and_abort(shop: Shop) -> None:
    """While the version that has the work must keep to a limit; then the Release is deleted."""
    limit = {"name": "errors", "template": "http-errors", "limit": {"max": "50%"}}
    release = await _planned(shop, analysis={"metrics": [limit]}, bake={"for": "10m", "holdback": "5%"})
    await shop.kube.create(RELEASES, shop.namespace, release)
    await shop.until(lambda status: status.get("reason") in ("Baking", "SourceOutage"), _PATIENCE_S)
    await asyncio.sleep(_GOES_ON_S)
    await shop.ask("abort")
    await shop.until_phase("RolledBack", seconds=_PATIENCE_S)
    await shop.delete()
    service = await shop.kube.get(SERVICES, shop.namespace, NAME)
    assert service["spec"]["selector"] == {"app": NAME}
    await asyncio.sleep(_GOES_ON_S)


async def _adopt(shop: Shop) -> None:
    await shop.kube.create(RELEASES, shop.namespace, await _planned(shop))
    await shop.until_phase("Healthy", seconds=_PATIENCE_S)
    old = await shop.kube.get(DEPLOYMENTS, shop.namespace, OLD)
    assert old["spec"]["replicas"] == 0
    await asyncio.sleep(_GOES_ON_S)
