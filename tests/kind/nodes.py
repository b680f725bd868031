"""What befalls nodes: they are drained, freeze, and the API server dies."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from controller.api.resources import LEASES, PODS
from controller.kube.client import KubeClient
from controller.runtime.operator import LEASE_NAME
from hack.install import OPERATOR_NAMESPACE, Kubectl
from hack.node.kind import Kind
from tests.e2e.patience import until

HOSTNAME = "kubernetes.io/hostname"
_READY_SECONDS = 120


class Nodes:
    """The control plane takes no pods; the others are workers."""

    def __init__(self, backend: Kind, kubectl: Kubectl, kube: KubeClient) -> None:
        self._backend = backend
        self._kubectl = kubectl
        self._kube = kube
        self.control_plane, *self.workers = backend.nodes.names()

    async def leader(self) -> tuple[str, str]:
        """The holder of the Lease, and the node on which it runs; not one whose pod is gone."""

        async def found() -> tuple[str, str] | None:
            lease = await self._kube.find(LEASES, OPERATOR_NAMESPACE, LEASE_NAME)
            holder = str(lease["spec"].get("holderIdentity") or "") if lease else ""
            pod = await self._kube.find(PODS, OPERATOR_NAMESPACE, holder.rpartition("_")[0]) if holder else None
            return (holder, pod["spec"]["nodeName"]) if pod and "deletionTimestamp" not in pod["metadata"] else None

        answer: tuple[str, str] = await until(found, "an operator leads")
        return answer

    def other(self, node: str) -> str:
        (found,) = (worker for worker in self.workers if worker != node)
        return found

    @asynccontextmanager
    async def frozen(self, node: str) -> AsyncIterator[None]:
        """Nothing on it runs, and nobody gets an answer from it, until the block ends."""
        await asyncio.to_thread(self._backend.nodes.docker, "pause", node)
        try:
            yield
        finally:
            await asyncio.to_thread(self._backend.nodes.docker, "unpause", node)
            await self._ready()

    @asynccontextmanager
    async def drained(self, node: str) -> AsyncIterator[None]:
        """Its pods are evicted and none comes, until the block ends."""
        await self._do("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=120s")
        try:
            yield
        finally:
            await self._do("uncordon", node)

    async def kill_api_server(self) -> None:
        """SIGKILL; the kubelet starts it again."""
        kill = ("exec", self.control_plane, "pkill", "-KILL", "--exact", "kube-apiserver")
        await asyncio.to_thread(self._backend.nodes.docker, *kill)

    def mend(self) -> None:
        """What a failed test may have left."""
        for node in self._backend.nodes.names():
            self._backend.nodes.wake(node)
        self._kubectl("uncordon", *self.workers)

    async def _ready(self) -> None:
        await self._do("wait", "--for=condition=Ready", "nodes", "--all", f"--timeout={_READY_SECONDS}s")

        async def run_again() -> bool:
            pods = await self._kube.list(PODS, OPERATOR_NAMESPACE)
            return len(pods) == len(self.workers) and all(_is_ready(pod) for pod in pods)

        await until(run_again, "both operators run again", _READY_SECONDS)

    async def _do(self, *arguments: str) -> None:
        await asyncio.to_thread(self._kubectl, *arguments)


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
