"""What else lives in a cluster, played simply: Deployments get ready pods, Services get endpoints, owners take along.

And the metrics: requests that follow the route, and fail as the version that serves them does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from controller.analysis.sources import Question, Sources
from controller.api.analysis import Metric
from controller.api.names import RELEASE_LABEL, REVISION_LABEL
from controller.api.resources import DEPLOYMENTS, ENDPOINT_SLICES, HTTP_ROUTES, RELEASES, SERVICES
from controller.kube.objects import Key
from controller.ports import NoData, Query, Row, Samples, Window
from tests.gateway import accepted, is_answered
from tests.unit.runtime.fake_api import Change, FakeApi, Object, selects

START_S = 2.0
"""Until a pod is ready."""
ACCEPTED_S = 0.2
"""Until a Gateway has answered of a new route."""
_PER_S = 100

_DEPLOYMENTS, _SERVICES = DEPLOYMENTS.path(), SERVICES.path()


class FakeCluster:
    """Controllers in one: it follows each change at once, and again when pods have had their time to start."""

    def __init__(self, api: FakeApi, now: Callable[[], float]) -> None:
        self._api = api
        self._now = now
        self._started: dict[str, list[float]] = {}
        """When each pod of a Deployment was made, by the Deployment's uid."""
        self.broken: set[str] = set()
        """Images whose pods never get ready."""
        self.full = False
        """Whether there is room for no further pod."""
        self.accepts = True
        """Whether a Gateway is there that answers of each new route."""
        api.listeners.append(self._changed)

    def _changed(self, change: Change) -> None:
        if change.collection == RELEASES.path() and change.type == "DELETED":
            self._take_along(change.object["metadata"]["uid"])
        is_route = change.collection == HTTP_ROUTES.path() and change.type != "DELETED"
        if is_route and self.accepts and not is_answered(change.object):
            asyncio.get_running_loop().call_later(ACCEPTED_S, self.accept, change.object["metadata"])
        release = change.object["metadata"].get("labels", {}).get(RELEASE_LABEL)
        if change.collection not in (_DEPLOYMENTS, _SERVICES) or release is None:
            return  # of somebody else: nothing that is looked at here
        loop = asyncio.get_running_loop()
        loop.call_soon(self.sync, release)
        loop.call_later(START_S + 0.01, self.sync, release)

    def accept(self, metadata: Object, **changes: str) -> None:
        """What the Gateway says of a route."""
        path = _path(HTTP_ROUTES.path(), metadata)
        route = self._api.handle("GET", path, {}, None)
        if route.status == 200:
            body = {**route.body, "status": accepted(route.body, **changes)}
            self._api.handle("PUT", f"{path}/status", {}, body)

    def _take_along(self, owner: str) -> None:
        for collection in list(self._api._objects):
            for item in self._api.objects(collection):
                owners = item["metadata"].get("ownerReferences") or []
                if any(one["uid"] == owner for one in owners):
                    metadata = item["metadata"]
                    self._api.handle("DELETE", _path(collection, metadata), {}, None)

    def sync(self, release: str) -> None:
        deployments = self._api.objects_of(_DEPLOYMENTS, release)
        for item in deployments:
            ready = self._ready(item)
            if item.get("status", {}).get("readyReplicas", 0) != ready:
                self._write(_DEPLOYMENTS, {**item, "status": {"readyReplicas": ready}}, "/status")
        services = {item["metadata"]["name"]: item for item in self._api.objects_of(_SERVICES, release)}
        slices = {item["metadata"]["name"]: item for item in self._api.objects_of(ENDPOINT_SLICES.path(), release)}
        for name, service in services.items():
            endpoints = self._endpoints(service, deployments)
            if name not in slices or slices[name]["endpoints"] != endpoints:
                labels = {**service["metadata"]["labels"], "kubernetes.io/service-name": name}
                metadata = {"name": name, "namespace": service["metadata"]["namespace"], "labels": labels}
                self._write(ENDPOINT_SLICES.path(), {"metadata": metadata, "endpoints": endpoints})
        for name, item in slices.items():
            if name not in services:
                self._api.handle("DELETE", _path(ENDPOINT_SLICES.path(), item["metadata"]), {}, None)

    def _ready(self, deployment: Object) -> int:
        uid, wanted = deployment["metadata"]["uid"], deployment["spec"]["replicas"]
        now, before = self._now(), self._started.get(uid, [])
        wanted = min(wanted, len(before)) if self.full else wanted
        started = self._started[uid] = (before + [now] * wanted)[:wanted]
        if deployment["spec"]["template"]["spec"]["containers"][0]["image"] in self.broken:
            return 0
        return sum(now - start >= START_S for start in started)

    @staticmethod
    def _endpoints(service: Object, deployments: list[Object]) -> list[Object]:
        wanted = ",".join(f"{name}={value}" for name, value in service["spec"]["selector"].items())
        return [
            {"addresses": [f"{item['metadata']['name']}-{number}"], "conditions": {"ready": True}}
            for item in deployments
            if selects(wanted, item["spec"]["template"])
            for number in range(item.get("status", {}).get("readyReplicas", 0))
        ]

    def _write(self, collection: str, item: Object, subresource: str = "") -> None:
        path = _path(collection, item["metadata"])
        answer = self._api.handle("PUT", path + subresource, {}, item)
        if answer.status == 404:
            self._api.handle("POST", path.rsplit("/", 1)[0], {}, item)


def _path(collection: str, metadata: Mapping[str, Any]) -> str:
    head, _, plural = collection.rpartition("/")
    return f"{head}/namespaces/{metadata['namespace']}/{plural}/{metadata['name']}"


class CountingSources(Sources):
    """Metrics of all Releases, without templates: each is asked of the route that is there."""

    def __init__(self, api: FakeApi, failing: set[str]) -> None:
        self._api = api
        self._failing = failing
        """Images of which a fifth of the requests fails."""

    def changed(self, namespace: str) -> None:
        del namespace

    async def tidy(self) -> None:
        return None

    def forget(self, key: Key) -> None:
        del key

    async def close(self) -> None:
        return None

    async def questions(
        self, key: Key, metrics: tuple[Metric, ...], *, stable: str, canary: str
    ) -> tuple[Question, ...]:
        provider = Counting(self._api, self._failing, key, frozenset({stable, canary}))
        return tuple(Question(metric.name, Query("none", ""), provider, warm_up=False) for metric in metrics)


def _copies(route: Object, name: str) -> list[tuple[str, float]]:
    """Who gets copies of the requests, and of how many percent."""
    filters = route["spec"]["rules"][0].get("filters", [])
    mirrors = [one["requestMirror"] for one in filters if one["type"] == "RequestMirror"]
    return [(one["backendRef"]["name"].removeprefix(f"{name}-"), one.get("percent", 100)) for one in mirrors]


class Counting:
    def __init__(self, api: FakeApi, failing: set[str], key: Key, revisions: frozenset[str] | None = None) -> None:
        """`revisions`: the two that a template names; of others it has no row. None: of all that the route names."""
        self._api = api
        self._failing = failing
        self._key = key
        self._revisions = revisions

    async def has_rows(self, query: Query, window: Window) -> bool:
        del query, window
        return True

    async def query(self, query: Query, window: Window) -> Samples | NoData:
        del query
        seconds = (window.end - window.start).total_seconds()
        images = {
            item["metadata"]["labels"][REVISION_LABEL]: item["spec"]["template"]["spec"]["containers"][0]["image"]
            for item in self._api.objects_of(_DEPLOYMENTS, self._key.name)
        }
        rows = []
        for route in self._api.objects_of(HTTP_ROUTES.path(), self._key.name):
            for backend in route["spec"]["rules"][0]["backendRefs"]:
                revision = backend["name"].removeprefix(f"{self._key.name}-")
                if self._revisions is not None and revision not in self._revisions:
                    continue
                total = round(_PER_S * seconds * backend["weight"] / 10_000)
                bad = total // 5 if images.get(revision) in self._failing else 0
                rows.append(Row(revision, bad, total))
            for copied, percent in _copies(route, self._key.name):
                total = round(_PER_S * seconds * percent / 100)
                bad = total // 5 if images.get(copied) in self._failing else 0
                rows.append(Row(copied, bad, total))
        return Samples(tuple(rows)) if rows else NoData()

    async def close(self) -> None:
        return None
