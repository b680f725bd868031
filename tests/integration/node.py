"""A node without a kubelet: pods that the controllers make become ready, crash or wait, as a test says.

The API server, the Deployment and the EndpointSlice controllers are real; only what a container does is played.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from controller.api.names import REVISION_LABEL
from controller.api.resources import PODS, Resource
from controller.kube.client import KubeClient, KubeError
from tests.beside import beside
from tests.gateway import Gateway, passes

_NODES = Resource("", "v1", "nodes", "Node")

Behave = Callable[[dict[str, Any]], str]
"""Says of a pod: ready, unready, crash, config, pull or unschedulable; where it ends: succeed, fail, late or evict."""


_EXIT_CODES = {"succeed": 0, "fail": 3, "late": 137, "evict": 137}
_ENDS: dict[str, dict[str, Any]] = {
    "succeed": {"phase": "Succeeded"},
    "fail": {"phase": "Failed"},
    "late": {"phase": "Failed", "reason": "DeadlineExceeded", "message": "Pod was active longer than the deadline"},
    "evict": {"phase": "Failed", "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "Evicted"}]},
}


def _ended(pod: dict[str, Any], state: str) -> dict[str, Any]:
    code = _EXIT_CODES[state]
    ended = {
        "name": pod["spec"]["containers"][0]["name"],
        "image": "image",
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed"}},
    }
    return {**_ENDS[state], "containerStatuses": [ended]}


class Node:
    """Plays kubelet, scheduler and the Gateway for one namespace. `behave` may be changed at any time."""

    def __init__(self, kube: KubeClient, namespace: str) -> None:
        self._kube = kube
        self.namespace = namespace
        self._name = f"node-{namespace}"
        self._address = 0
        self._addresses: dict[str, str] = {}
        self.behave: Behave = lambda _: "ready"

    def let(self, revision: str, state: str) -> None:
        """Pods of this revision do this from now on; all others go on as they did."""
        before = self.behave
        self.behave = lambda pod: state if pod["metadata"]["labels"].get(REVISION_LABEL) == revision else before(pod)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Node"]:
        await self._kube.create(_NODES, None, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self._name}})
        try:
            async with beside(self._run()), beside(Gateway(self._kube, self.namespace).run()):
                yield self
        finally:
            await self._kube.delete(_NODES, None, self._name)

    async def _run(self) -> None:
        while True:
            try:
                for pod in await self._kube.list(PODS, self.namespace):
                    await self._tend(pod)
            except KubeError as error:
                if not passes(error):
                    raise
            await asyncio.sleep(0.1)

    async def _tend(self, pod: dict[str, Any]) -> None:
        metadata = pod["metadata"]
        if "deletionTimestamp" in metadata:
            path = PODS.path(self.namespace, metadata["name"])
            await self._kube.request("DELETE", path, query={"gracePeriodSeconds": "0"})
            return
        state = self.behave(pod)
        if state != "unschedulable" and not pod["spec"].get("nodeName"):
            await self._bind(metadata["name"])
        if state in _ENDS:
            if pod.get("status", {}).get("phase") not in ("Failed", "Succeeded"):
                await self._kube.patch(PODS, self.namespace, metadata["name"], {"status": _ended(pod, state)}, "status")
            return
        wanted = self._status(pod, state)
        if not _has(pod.get("status", {}), wanted):
            await self._kube.patch(PODS, self.namespace, metadata["name"], {"status": wanted}, "status")

    async def _bind(self, pod: str) -> None:
        target = {"apiVersion": "v1", "kind": "Node", "name": self._name}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": target}
        await self._kube.request("POST", PODS.path(self.namespace, pod, "binding"), body=body)

    def _status(self, pod: dict[str, Any], state: str) -> dict[str, Any]:
        container = pod["spec"]["containers"][0]["name"]
        ready = state == "ready"
        conditions = [
            {"type": "PodScheduled", "status": "False" if state == "unschedulable" else "True", "message": "0/1 nodes"},
            {"type": "Ready", "status": "True" if ready else "False"},
        ]
        if state == "unschedulable":
            return {"phase": "Pending", "conditions": conditions}
        waiting = {
            "crash": {"reason": "CrashLoopBackOff", "message": "back-off"},
            "config": {"reason": "CreateContainerConfigError", "message": 'secret "db" not found'},
            "pull": {"reason": "ImagePullBackOff", "message": "no such image"},
        }.get(state)
        status = {
            "name": container,
            "image": "image",
            "imageID": "",
            "ready": ready,
            "restartCount": 3 if state == "crash" else 0,
            "state": {"waiting": waiting} if waiting else {"running": {}},
        }
        if state == "crash":
            status["lastState"] = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "message": "token=sesame"}}
        uid = pod["metadata"]["uid"]
        if uid not in self._addresses:
            self._address += 1
            self._addresses[uid] = f"10.99.{self._address // 250}.{self._address % 250 + 1}"
        address = self._addresses[uid]
        return {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": conditions,
            "containerStatuses": [status],
        }


def _has(actual: dict[str, Any], wanted: dict[str, Any]) -> bool:
    conditions = {condition["type"]: condition["status"] for condition in actual.get("conditions", [])}
    containers = [
        (status["ready"], status["restartCount"], status.get("state", {}).get("waiting", {}).get("reason"))
        for status in actual.get("containerStatuses", [])
    ]
    expected = [
        (status["ready"], status["restartCount"], status["state"].get("waiting", {}).get("reason"))
        for status in wanted.get("containerStatuses", [])
    ]
    return (
        all(conditions.get(condition["type"]) == condition["status"] for condition in wanted["conditions"])
        and actual.get("podIP") == wanted.get("podIP")
        and containers == expected
    )
