"""A Gateway without a data path: it accepts every HTTPRoute of ours, as its controller does within a moment."""

import asyncio
from collections.abc import Mapping
from typing import Any

from controller.api.names import RELEASE_LABEL
from controller.api.resources import HTTP_ROUTES
from controller.kube.client import KubeClient, KubeError, UnavailableError
from controller.kube.watch import Change, ChildWatch

_WRITERS = 4
_REFUSED_FOR_NOW = (
    403,  # by admission, until an API server that was started again knows what it needs ("not yet ready")
    404,  # gone
    409,  # changed since
)
CONTROLLER = "example.com/gateway"


def accepted(route: Mapping[str, Any], **changes: str) -> dict[str, Any]:
    """The status of a route that all its parents accept; `changes` are to that condition."""
    condition = {
        "type": "Accepted",
        "status": "True",
        "reason": "Accepted",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": route["metadata"].get("generation", 1),
        **changes,
    }
    parents = [
        {"parentRef": parent, "controllerName": CONTROLLER, "conditions": [condition]}
        for parent in route["spec"].get("parentRefs") or []
    ]
    return {"parents": parents}


def is_answered(route: Mapping[str, Any]) -> bool:
    """Whether each of its present parents has said something."""
    answered = [one["parentRef"] for one in (route.get("status") or {}).get("parents") or []]
    return answered == (route["spec"].get("parentRefs") or [])


def passes(error: KubeError) -> bool:
    """Whether who plays a part of the cluster goes on after this answer: the next one may be another."""
    return isinstance(error, UnavailableError) or error.status in _REFUSED_FOR_NOW


class Gateway:
    """`namespace`: whose routes; None: all."""

    def __init__(self, kube: KubeClient, namespace: str | None = None) -> None:
        self._kube = kube
        self._namespace = namespace
        self._asked: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            watch = ChildWatch(self._kube, HTTP_ROUTES, RELEASE_LABEL, self._seen, namespace=self._namespace)
            group.create_task(watch.run())
            for _ in range(_WRITERS):
                group.create_task(self._write())

    def _seen(self, change: Change) -> None:
        if change.item is not None and not change.gone and not is_answered(change.item):
            self._asked.put_nowait(change.item)

    async def _write(self) -> None:
        while True:
            route = await self._asked.get()
            metadata = route["metadata"]
            try:
                patch = {"status": accepted(route)}
                await self._kube.patch(HTTP_ROUTES, metadata["namespace"], metadata["name"], patch, "status")
            except KubeError as error:
                if not passes(error):
                    raise
                if error.status in (404, 409):
                    continue  # it is gone, or written anew: an event of it follows
                await asyncio.sleep(0.1)
                self._asked.put_nowait(route)
