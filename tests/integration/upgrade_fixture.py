"""0.1.0's operator and today's, in turn, on an API server of their own: its CRDs change, as in an upgrade."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import crds
from controller.api.names import RELEASE_LABEL
from controller.api.resources import CRDS, DEPLOYMENTS, PODS, RELEASES, SERVICES, Resource
from controller.kube.client import InvalidError, KubeClient, NotFoundError
from hack.node.controlplane import ControlPlane
from tests import earlier
from tests.e2e.patience import until
from tests.integration.cluster_fixture import define, gateway_api, new_namespace
from tests.integration.node import Node
from tests.integration.operator_fixture import APPROVE, OperatorProcess, Shop, pause, release, weight

_APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True)
class Picture:
    """What an upgrade may not touch."""

    shares: dict[str, int]
    status: dict[str, Any]
    objects: dict[str, Any]
    """By kind and name: which object it is, and the generation of what makes pods."""


_KEPT = (
    "phase", "stableRevision", "canaryRevision", "previousStable", "attempt", "step", "steps", "weight", "progress",
    "judged", "rejected", "lastRollback", "handledActions", "queuedRevisions", "unproven", "analysisRun", "canarySince",
    "approvedBy", "pausedBy",
)  # fmt: skip
"""Without `selector`, which `Upgrade.autoscaled` is for: in 0.1.0 it was of stable's pods alone."""


class Upgrade:
    """One namespace, and what runs in it. `earlier` and `current` are operators; at most one of them leads."""

    def __init__(self, plane: ControlPlane, kube: KubeClient, node: Node, directory: Path) -> None:
        self.kube = kube
        self.node = node
        self.namespace = node.namespace
        self._kubeconfig = plane.kubeconfig
        self._log = directory / "operator.log"
        make = partial(OperatorProcess, plane.kubeconfig, self.namespace, self._log)
        # pods of a Deployment: each has a name of its own, and waits for the Lease of one that was killed
        root = str(earlier.unpack(directory / "earlier"))
        self.earlier = make(ledger_port=None, environment={"PYTHONPATH": root, "POD_NAME": "earlier"})
        self.current = make(environment={"POD_NAME": "current"})

    @property
    def log(self) -> str:
        """Of both operators."""
        return self._log.read_text()

    async def apply_earlier_crds(self) -> None:
        await self._apply(earlier.definitions())
        await until(partial(self._serves, today=False), "the CRDs of 0.1.0 are served")

    async def apply_current_crds(self) -> None:
        await self._apply(crds.definitions())
        await until(partial(self._serves, today=True), "today's CRDs are served")

    async def _apply(self, definitions: Iterable[dict[str, Any]]) -> None:
        """As `kubectl apply --server-side` does."""
        query = {"fieldManager": "kubectl", "force": "true"}
        for definition in definitions:
            path = CRDS.path(None, definition["metadata"]["name"])
            await self.kube.request("PATCH", path, query=query, body=definition, content_type=_APPLY)

    async def _serves(self, *, today: bool) -> bool:
        """0.1.0 has no `configRefs`."""
        query = {"dryRun": "All", "fieldValidation": "Strict"}
        try:
            await self.kube.request("POST", RELEASES.path(self.namespace), query=query, body=release(configRefs="None"))
        except InvalidError:
            return not today
        except NotFoundError:
            return False
        return today

    def shop(self, name: str) -> Shop:
        shop = Shop(self.kube, self.namespace, self.node, self.current, self._kubeconfig)
        shop.name = name
        return shop

    async def given(self, name: str, *steps: dict[str, Any], version: str = "2", **spec: Any) -> Shop:
        """Version 1 is stable, and another one is offered, unless `version` is empty."""
        shop = self.shop(name)
        body = release(*steps, **spec)
        body["metadata"]["name"] = name
        route = body["spec"]["traffic"].get("gatewayAPI")
        if route:
            body["spec"]["traffic"] = {"gatewayAPI": {**route, "hostnames": [f"{name}.localhost"]}}
        await shop.given(body)
        if version:
            await shop.commit(version)
        return shop

    async def picture(self, shop: Shop) -> Picture:
        status = await shop.status()
        kept = {key: status[key] for key in _KEPT if key in status}
        return Picture(await shop.shares(), kept, await self.objects(shop))

    async def autoscaled(self, shop: Shop) -> bool:
        """Whether an autoscaler counts all the pods there are, as where all versions share the work; there are some."""
        labels = ((await shop.status())["selector"], f"{RELEASE_LABEL}={shop.name}")
        found = [await self.kube.list(PODS, self.namespace, labels=one) for one in labels]
        counted, all_ = [{pod["metadata"]["name"] for pod in pods} for pods in found]
        return bool(all_) and counted == all_

    async def objects(self, shop: Shop) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for kind in (DEPLOYMENTS, SERVICES, PODS):
            for item in await self.kube.list(kind, self.namespace, labels=f"{RELEASE_LABEL}={shop.name}"):
                found[f"{kind.kind} {item['metadata']['name']}"] = _identity(kind, item)
        return found

    async def taken_over(self, *shops: Shop) -> None:
        """Today's operator has worked on each of them."""
        for shop in shops:
            await shop.until(lambda status: "format" in status)

    async def taken_back(self, *shops: Shop) -> None:
        """0.1.0's operator has."""
        for shop in shops:
            await shop.until(lambda status: "format" not in status)

    async def touched(self, *shops: Shop) -> None:
        """Whoever leads has worked on each of them again, after an edit that changes nothing."""
        for shop in shops:
            await shop.edit(lambda body: body["spec"].update(revisionHistoryLimit=6))
        for shop in shops:
            await shop.until(lambda _: True)


def _identity(kind: Resource, item: dict[str, Any]) -> Any:
    metadata = item["metadata"]
    if kind is DEPLOYMENTS:
        return metadata["uid"], metadata["generation"]
    if kind is PODS:
        return metadata["uid"], sum(one["restartCount"] for one in item["status"].get("containerStatuses", []))
    return metadata["uid"], json.dumps(item["spec"].get("selector"), sort_keys=True)


@asynccontextmanager
async def opened(plane: ControlPlane, directory: Path) -> AsyncIterator[Upgrade]:
    """CRDs of 0.1.0, and no operator yet."""
    kube = await KubeClient.connect(str(plane.kubeconfig))
    try:
        async with new_namespace(kube) as namespace, Node(kube, namespace).running() as node:
            upgrade = Upgrade(plane, kube, node, directory)
            try:
                await upgrade.apply_earlier_crds()
                yield upgrade
            finally:
                upgrade.earlier.kill()
                upgrade.current.kill()
    finally:
        await kube.close()


async def under_way(upgrade: Upgrade) -> dict[str, Shop]:
    """By 0.1.0's operator: a Release of each kind, by name, each where it stays until somebody asks for something."""
    made = await asyncio.gather(
        upgrade.given("calm", weight(50), pause(0.2)),
        upgrade.given("waiting", weight(10), pause(0.2), APPROVE, weight(50), pause(0.2)),
        upgrade.given("pausing", weight(20), pause(900), weight(50)),
        upgrade.given("going", weight(30), pause(900)),
        upgrade.given("leaving", weight(40), pause(900), deletionPolicy="Orphan"),
        upgrade.given("rejected", weight(10), APPROVE),
        upgrade.given("by-pods", weight(50), pause(900), traffic={"replicas": {}}, replicas=4),
    )
    shops = {shop.name: shop for shop in made}
    first = (await shops["calm"].status())["stableRevision"]
    await shops["calm"].until(lambda status: status["phase"] == "Healthy" and status["stableRevision"] != first)
    await shops["waiting"].until(lambda status: status["reason"] == "AwaitingApproval")
    await shops["rejected"].until(lambda status: status["reason"] == "AwaitingApproval")
    await shops["rejected"].ask("abort", (await shops["rejected"].status())["canaryRevision"])
    await shops["rejected"].until_phase("RolledBack")
    for name in ("pausing", "going", "leaving", "by-pods"):
        await shops[name].until(lambda status: status["reason"] == "Pausing")
    return shops


async def pictures(upgrade: Upgrade, shops: dict[str, Shop]) -> dict[str, Picture]:
    """Once nothing goes on by itself: what has drained is gone."""
    for shop in shops.values():
        await until(partial(at_rest, upgrade, shop), f"{shop.name} is at rest")
    return {name: await upgrade.picture(shop) for name, shop in shops.items()}


async def at_rest(upgrade: Upgrade, shop: Shop) -> bool:
    status = await shop.status()
    named = {status.get("stableRevision"), status.get("canaryRevision")} - {None}
    found = await shop.objects()
    label = f"pointsman.dev/release={shop.name}"
    deployments = await upgrade.kube.list(DEPLOYMENTS, upgrade.namespace, labels=label)
    sizes = [(one["spec"]["replicas"], one.get("status", {}).get("readyReplicas", 0)) for one in deployments]
    return {f"{shop.name}-{one}" for one in named} == set(found["Deployment"]) and all(a == b for a, b in sizes)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with ControlPlane(tmp_path_factory.mktemp("upgrade")) as running:
        with running.http() as http:
            define(http, gateway_api())
        yield running


@pytest.fixture
async def upgrade(plane: ControlPlane, tmp_path: Path) -> AsyncIterator[Upgrade]:
    async with opened(plane, tmp_path) as found:
        yield found
