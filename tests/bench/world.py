"""The native cluster with Pointsman on it, and one Release of the subject that a benchmark can change."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from controller.api.resources import RELEASES
from controller.kube.client import KubeClient
from hack.install import CHECKOUT, SUBJECT, Kubectl, install
from hack.load import Load, plan_for
from hack.node.backend import choose
from hack.node.cluster import Cluster
from hack.node.trouble import TroubleError

NAME = "subject"
_PATIENCE_S = 180.0
_POLL_S = 0.1


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Bench:
    """One namespace, one Release."""

    def __init__(self, cluster: Cluster, kube: KubeClient, namespace: str) -> None:
        self.cluster = cluster
        self.kube = kube
        self.namespace = namespace
        self.host = f"{namespace}.localhost"
        self._version = 0

    async def given(self, *steps: dict[str, Any], **analysis: Any) -> None:
        """A version without faults, in service; `analysis` overrides the manifest's."""
        release = yaml.safe_load((CHECKOUT / SUBJECT / "release.yaml").read_text())
        release["metadata"] = {"name": NAME, "namespace": self.namespace}
        spec = release["spec"]
        spec["traffic"]["gatewayAPI"]["hostnames"] = [self.host]
        spec["strategy"]["canary"]["steps"] = list(steps)
        spec["analysis"] |= analysis
        await self.kube.create(RELEASES, self.namespace, release)
        await self.until(lambda status: status.get("phase") == "Healthy")

    async def offer(self, **faults: str) -> dict[str, Any]:
        """A new version with these environment values; returns what was replaced, for `restore`."""
        release = await self.kube.get(RELEASES, self.namespace, NAME)
        before: dict[str, Any] = json.loads(json.dumps(release["spec"]["template"]))
        self._version += 1
        values = {"VERSION": f"bench-{self._version}", **faults}
        for variable in release["spec"]["template"]["spec"]["containers"][0]["env"]:
            if variable["name"] in values:
                variable["value"] = values[variable["name"]]
        await self._replace(release)
        return before

    async def restore(self, template: dict[str, Any]) -> None:
        release = await self.kube.get(RELEASES, self.namespace, NAME)
        release["spec"]["template"] = template
        await self._replace(release)
        await self.until(lambda status: status.get("phase") == "Healthy")

    async def _replace(self, release: dict[str, Any]) -> None:
        await self.kube.patch(RELEASES, self.namespace, NAME, {"spec": {"template": release["spec"]["template"]}})

    async def status(self) -> dict[str, Any]:
        release = await self.kube.get(RELEASES, self.namespace, NAME)
        status: dict[str, Any] = release["status"]
        return status if status["observedGeneration"] >= release["metadata"]["generation"] else {}

    async def until(self, met: Callable[[dict[str, Any]], Any], seconds: float = _PATIENCE_S) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while not met(status := await self.status()):
            if time.monotonic() > deadline:
                raise TroubleError(f"the Release is not where it should be after {seconds:.0f} s: {status}")
            await asyncio.sleep(_POLL_S)
        return status

    def load(self, rate: float, *, fresh: float = 0.0, seconds: float = 600.0) -> Load:
        return Load(plan_for(self.cluster.gateway_url, rate=rate, host=self.host, fresh=fresh, seconds=seconds))


@asynccontextmanager
async def bench(name: str, *, workload: Path = SUBJECT) -> AsyncIterator[Bench]:
    """Everything that is needed, from nothing; the namespace goes afterwards, the cluster stays."""
    cluster = await asyncio.to_thread(choose().up)
    await asyncio.to_thread(install, cluster, say, workload)
    kubectl = Kubectl(cluster)
    kube = await KubeClient.connect(str(cluster.kubeconfig))
    namespace = f"bench-{name}"
    try:
        kubectl("delete", "namespace", namespace, "--ignore-not-found", "--wait")
        kubectl("create", "namespace", namespace)
        yield Bench(cluster, kube, namespace)
    finally:
        kubectl("delete", "namespace", namespace, "--ignore-not-found", "--wait=false")
        await kube.close()
