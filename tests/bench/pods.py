"""Pods without a kubelet: what the controllers of Deployments and EndpointSlices would write is written at once."""

import asyncio
from typing import Any

from controller.api.names import RELEASE_LABEL, REVISION_LABEL
from controller.api.resources import DEPLOYMENTS, ENDPOINT_SLICES
from controller.kube.client import ConflictError, KubeClient, NotFoundError
from controller.kube.watch import Change, ChildWatch

_WRITERS = 8
_NO_PODS = 0


class Pods:
    """As many pods are ready as a Deployment asks for, but for those of revisions that have lost theirs."""

    def __init__(self, kube: KubeClient, namespace: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._asked: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._gone: asyncio.Queue[str] = asyncio.Queue()
        self._ready: dict[str, int] = {}
        """By Deployment."""
        self.lost: set[str] = set()
        """Deployments whose pods are never ready again."""

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(
                ChildWatch(self._kube, DEPLOYMENTS, RELEASE_LABEL, self._seen, namespace=self._namespace).run()
            )
            group.create_task(self._clear())
            for _ in range(_WRITERS):
                group.create_task(self._write())

    def _seen(self, change: Change) -> None:
        if change.item is not None and not change.gone:
            self._asked.put_nowait(change.item)
        if change.gone:
            self._ready.pop(change.metadata["name"], None)
            self._gone.put_nowait(change.metadata["name"])

    async def _write(self) -> None:
        while True:
            deployment = await self._asked.get()
            name, wanted = deployment["metadata"]["name"], deployment["spec"]["replicas"]
            wanted = _NO_PODS if name in self.lost else wanted
            if self._ready.get(name) == wanted:
                continue
            known, self._ready[name] = name in self._ready, wanted
            try:
                await self._endpoints(deployment, wanted, known=known)
                await self._status(deployment, wanted)
            except NotFoundError:
                self._ready.pop(name, None)  # it was taken away meanwhile

    async def _clear(self) -> None:
        """The EndpointSlice goes with its Service, some time after."""
        while True:
            await self._kube.delete(ENDPOINT_SLICES, self._namespace, await self._gone.get())

    async def lose(self, deployment: dict[str, Any]) -> None:
        """All its pods at once; its endpoints first, as a router sees it."""
        name = deployment["metadata"]["name"]
        self.lost.add(name)
        self._ready[name] = _NO_PODS
        await self._endpoints(deployment, _NO_PODS, known=True)
        await self._status(deployment, _NO_PODS)

    async def _status(self, deployment: dict[str, Any], ready: int) -> None:
        replicas = deployment["spec"]["replicas"]
        pods = {"replicas": replicas, "updatedReplicas": replicas, "readyReplicas": ready, "availableReplicas": ready}
        status = {"observedGeneration": deployment["metadata"]["generation"], **pods}
        name = deployment["metadata"]["name"]
        await self._kube.patch(DEPLOYMENTS, self._namespace, name, {"status": status}, "status")

    async def _endpoints(self, deployment: dict[str, Any], ready: int, *, known: bool) -> None:
        labels, name = deployment["metadata"]["labels"], deployment["metadata"]["name"]
        kept = {label: labels[label] for label in (RELEASE_LABEL, REVISION_LABEL)}
        body = {
            "apiVersion": ENDPOINT_SLICES.api_version,
            "kind": ENDPOINT_SLICES.kind,
            "metadata": {"name": name, "labels": {**kept, "kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "endpoints": [
                {"addresses": [f"10.1.{number // 250}.{number % 250 + 1}"], "conditions": {"ready": True}}
                for number in range(ready)
            ],
        }
        if not known:
            try:
                await self._kube.create(ENDPOINT_SLICES, self._namespace, body)
            except ConflictError:
                known = True  # of an attempt before this one
        if known:
            await self._kube.patch(ENDPOINT_SLICES, self._namespace, name, body)
