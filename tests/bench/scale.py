"""2,000 and 10,000 Releases at rest: memory, CPU, API requests, and the time from start until all are reconciled.

Each waits for an approval at 10 %, with Deployments, Services, EndpointSlices and the route of two revisions. One is
brought there by the operator; the others are copies of it, so that making them does not take hours. Replicas are 0, and
no controllers run beside it: they would do nothing here but take half an hour to have seen everything.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from controller.api.names import MADE, RELEASE_LABEL
from controller.api.resources import (
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    HTTP_ROUTES,
    NAMESPACES,
    RELEASES,
    SERVICES,
    Resource,
)
from controller.api.revision import revision_of
from controller.kube.made import digest_of, record_of
from tests.bench.plane import Plane, at_once, now, plane, release_of, template_of
from tests.bench.report import Report, Target
from tests.bench.world import say
from tests.e2e.patience import until

SIZES, SMALL = (0, 2_000, 10_000), (0, 20)
NAMESPACE = "scale"
IDLE_S, SMALL_IDLE_S = 60.0, 3.0
"""The operator is watched for so long once all are reconciled."""
_PATIENCE_S = 900.0
_CHILDREN = (DEPLOYMENTS, SERVICES, CONTROLLER_REVISIONS, HTTP_ROUTES)
_PARALLEL = 40
TARGETS: dict[str, Target] = {
    "rss_mib_2000": ("<=", 160),
    "start_s_2000": ("<=", 10),
    "rss_mib_10000": ("<=", 600),
    "cpu_percent_10000": ("<=", 5),
    "api_requests_per_s_10000": ("<=", 1),
    "start_s_10000": ("<=", 45),
}


async def run(*, small: bool = False) -> Report:
    figures: dict[str, float] = {}
    async with plane(NAMESPACE, controllers=False) as world:
        made, model = 0, None
        for size in SMALL if small else SIZES:
            if size and model is None:
                model = await _model(world)
                made = 1
            if model is not None:
                began = now()
                await at_once([_copy(world, model, number) for number in range(made, size)], _PARALLEL)
                made = size
                say(f"{size} Releases are there after {now() - began:.0f} s")
            found = await _idle(world, size, SMALL_IDLE_S if small else IDLE_S)
            say(f"{size} Releases: {found}")
            figures |= {f"{name}_{size}": value for name, value in found.items()}
    return Report("scale", figures, {name: target for name, target in TARGETS.items() if name in figures})


async def _idle(world: Plane, size: int, idle_s: float) -> dict[str, float]:
    began = now()
    world.start_operator(NAMESPACE)

    async def all_are_reconciled() -> bool:
        found = await world.metrics()
        done = found.get('pointsman_reconciles_total{kind="Release",result="done"}', 0.0)
        queue = ("depth", "active")
        waiting = sum(found.get(f'pointsman_queue_{one}{{kind="Release"}}', 1.0) for one in queue)
        return found.get("pointsman_leader") == 1 and done >= size and waiting == 0

    await until(all_are_reconciled, f"{size} Releases are reconciled", _PATIENCE_S)
    start_s = now() - began
    await asyncio.sleep(idle_s / 6)  # what the start has left to do is done
    cpu, requests, idle_from = world.cpu_s(), world.requests_without_leases(), now()
    await asyncio.sleep(idle_s)
    seconds, cpu = now() - idle_from, world.cpu_s() - cpu
    await asyncio.sleep(1.5)  # the audit log is written in batches
    requests = world.requests_without_leases() - requests
    rss = world.rss_mib()
    world.stop_operator()
    return {
        "rss_mib": round(rss, 1),
        "cpu_percent": round(100 * cpu / seconds, 2),
        "api_requests_per_s": round(requests / seconds, 2),
        "start_s": round(start_s, 1),
    }


class _Model:
    """One Release in mid-release, and what belongs to it, as text in which names can be replaced."""

    def __init__(self, cluster: str, release: dict[str, Any], children: list[tuple[Resource, dict[str, Any]]]) -> None:
        self._cluster = cluster
        self._name: str = release["metadata"]["name"]
        self._revisions = (release["status"]["stableRevision"], release["status"]["canaryRevision"])
        self._texts = [(resource, json.dumps(_stripped(item))) for resource, item in [(RELEASES, release), *children]]

    def copies(self, number: int) -> list[tuple[Resource, dict[str, Any]]]:
        name = f"web-{number}"
        made = []
        for resource, text in self._texts:
            for image, revision in zip(("web:0", "web:1"), self._revisions, strict=True):
                other = revision_of(self._cluster, NAMESPACE, name, template_of(image), [{"port": 80}])
                text = text.replace(revision, other)  # noqa: PLW2901 - each revision in turn
            made.append((resource, _as_new(resource, json.loads(text.replace(self._name, name)))))
        _record(made)
        return made + [(ENDPOINT_SLICES, _slice_of(item)) for resource, item in made if resource == SERVICES]


async def _model(world: Plane) -> _Model:
    kube, name = world.kube, "web-0model"
    await kube.create(RELEASES, NAMESPACE, _release(name, "web:0"))
    world.start_operator(NAMESPACE)

    async def is_in(phase: str) -> dict[str, Any]:
        release = await kube.get(RELEASES, NAMESPACE, name)
        status = release["status"]
        current = status["observedGeneration"] >= release["metadata"]["generation"]
        # the weight is in the status before the router has it: copies from in between would each have to be written
        settled = status.get("phase") == phase and not status.get("weightPending")
        return release if current and settled else {}

    await until(lambda: is_in("Healthy"), "version 0 is stable")
    await kube.patch(RELEASES, NAMESPACE, name, {"spec": {"template": template_of("web:1")}})
    release = await until(lambda: is_in("Paused"), "version 1 waits for its approval")
    world.stop_operator()
    labels = f"{RELEASE_LABEL}={name}"
    children = [(kind, item) for kind in _CHILDREN for item in await kube.list(kind, NAMESPACE, labels=labels)]
    cluster = (await kube.get(NAMESPACES, None, "kube-system"))["metadata"]["uid"]
    return _Model(cluster, release, children)


async def _copy(world: Plane, model: _Model, number: int) -> None:
    for resource, body in model.copies(number):
        status = body.pop("status", None)
        made = await world.kube.create(resource, NAMESPACE, body)
        if resource == RELEASES:
            await world.kube.replace(resource, {**made, "status": status}, "status")


def _record(made: list[tuple[Resource, dict[str, Any]]]) -> None:
    """What the operator writes into a revision's Service when it makes it: else it would do so for each copy now."""
    specs = {item["metadata"]["name"]: item["spec"] for resource, item in made if resource == DEPLOYMENTS}
    for resource, item in made:
        spec = specs.get(item["metadata"]["name"])
        if resource == SERVICES and spec is not None:
            item["metadata"]["annotations"] = {MADE: record_of(digest_of(spec), item["spec"]["ports"])}


def _as_new(resource: Resource, item: dict[str, Any]) -> dict[str, Any]:
    """What hangs on names or on the past: the order of a route's backends, and how often the Release was changed."""
    if resource == HTTP_ROUTES:
        for rule in item["spec"]["rules"]:
            rule["backendRefs"].sort(key=lambda backend: backend["name"])
    if resource == RELEASES:
        item["status"]["observedGeneration"] = 1
        for condition in item["status"]["conditions"]:
            condition["observedGeneration"] = 1
    return item


def _slice_of(service: dict[str, Any]) -> dict[str, Any]:
    """As its controller makes one for a Service without pods."""
    name, labels = service["metadata"]["name"], service["metadata"]["labels"]
    return {
        "apiVersion": ENDPOINT_SLICES.api_version,
        "kind": ENDPOINT_SLICES.kind,
        "metadata": {"name": f"{name}-slice", "labels": {**labels, "kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": [],
    }


def _stripped(item: Mapping[str, Any]) -> dict[str, Any]:
    """Without what the API server or a controller fills in."""
    kept = {name: item["metadata"][name] for name in ("name", "labels", "finalizers") if name in item["metadata"]}
    body = {**item, "metadata": kept}
    if item["kind"] != RELEASES.kind:
        body.pop("status", None)
    if item["kind"] == SERVICES.kind:
        # without an address: to give one the API server counts all there are, which with 20,000 takes seconds
        body["spec"] = {name: item["spec"][name] for name in ("selector", "ports")} | {"clusterIP": "None"}
    return body


def _release(name: str, image: str) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"weight": 10}, {"approve": {}}, {"weight": 50}]
    # with an owner's reference the copies would name the model's uid
    return release_of(name, image, *steps, deletionPolicy="Orphan")
