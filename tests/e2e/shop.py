"""The words of the end-to-end tests: a namespace with one Release, its pods, its route and those who call it."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from controller.api.names import RELEASE_LABEL, REVISION_LABEL
from controller.api.resources import ENDPOINT_SLICES, HTTP_ROUTES, PODS, RELEASE_ACTIONS, RELEASES, SERVICES
from controller.kube.client import ConflictError, KubeClient
from hack.install import CHECKOUT, OPERATOR_NAMESPACE, SUBJECT
from hack.load import Call, Calls, Load, plan_for
from hack.node.cluster import Cluster
from tests.e2e import containers
from tests.e2e.patience import until

_POINTSMAN = Path(sys.executable).parent / "pointsman"
_COMMAND_S = 120.0


@dataclass(frozen=True)
class Typed:
    """What became of a command."""

    code: int
    text: str


@dataclass
class Shop:
    """One Release and what became of it. `kube` is the administrator's."""

    cluster: Cluster
    kube: KubeClient
    namespace: str
    name: str = "web"
    manifest: Path = CHECKOUT / SUBJECT / "release.yaml"
    calls: Calls = Call
    """What is asked of it; its first page, unless something else is given."""

    @property
    def host(self) -> str:
        return f"{self.namespace}.localhost"

    # -- what a developer does -----------------------------------------------------------------------------------

    async def given(self, *steps: dict[str, Any], **spec: Any) -> str:
        """Version 1 of the service is stable and answers through the gateway; returns its revision."""
        release = self.wanted(*steps, **spec)
        await self.kube.create(RELEASES, self.namespace, release)
        stable: str = (await self.until_phase("Healthy"))["stableRevision"]
        if "gatewayAPI" in release["spec"]["traffic"]:
            await until(lambda: self.is_routed(self.host), f"the gateway answers for {self.host}")
        return stable

    def wanted(self, *steps: dict[str, Any], **spec: Any) -> dict[str, Any]:
        """The manifest of version 1."""
        release: dict[str, Any] = yaml.safe_load(self.manifest.read_text())
        release["metadata"] = {"name": self.name, "namespace": self.namespace}
        release["spec"]["traffic"]["gatewayAPI"]["hostnames"] = [self.host]
        release["spec"]["strategy"]["canary"]["steps"] = list(steps)
        release["spec"] |= spec
        return release

    async def commit(self, **values: str) -> None:
        """Offers a version that differs in these environment values, as applying a commit does."""

        await self.edit(lambda release: set_values(release, **values))

    async def edit(self, change: Callable[[dict[str, Any]], Any]) -> None:
        while True:
            release = await self.release()
            change(release)
            try:
                await self.kube.replace(RELEASES, release)
            except ConflictError:
                continue
            return

    async def ask(self, action: str) -> None:
        """As a person or a pipeline does, of the canary there is now."""
        revision = (await self.status())["canaryRevision"]
        body = {
            "apiVersion": RELEASE_ACTIONS.api_version,
            "kind": RELEASE_ACTIONS.kind,
            "metadata": {"generateName": f"{self.name}-{action}-"},
            "spec": {
                "release": self.name,
                "revision": revision,
                "action": action,
                "requestedBy": "admin",
                "reason": "customers say so",
            },
        }
        made = await self.kube.create(RELEASE_ACTIONS, self.namespace, body)

        async def is_answered() -> str:
            found = await self.kube.get(RELEASE_ACTIONS, self.namespace, made["metadata"]["name"])
            return str(found.get("status", {}).get("result", ""))

        assert await until(is_answered, f"{action} is answered") == "Accepted"

    async def delete(self) -> None:
        """Returns when the Release is gone; what was made for it may still be going."""
        await self.kube.delete(RELEASES, self.namespace, self.name)

        async def is_gone() -> bool:
            return await self.kube.find(RELEASES, self.namespace, self.name) is None

        await until(is_gone, "the Release is gone")

    # -- who calls -----------------------------------------------------------------------------------------------

    def load(self, rate: float = 100.0, fresh: float = 0.3, *, retrying: bool = False, host: str = "") -> Load:
        """Callers from outside, through the gateway; this share of them on a new connection each time.

        `retrying`: the gateway tries another pod when one refuses a connection.
        """
        url = self.cluster.retrying_url if retrying else self.cluster.gateway_url
        plan = plan_for(url, host=host or self.host, rate=rate, fresh=fresh)
        return Load(plan, calls=self.calls)

    async def until_answered_by(self, load: Load, revision: str, answers: int = 20) -> None:
        def heard() -> bool:
            tally = load.snapshot().revisions.get(revision)
            return tally is not None and tally.answers >= answers

        await until(heard, f"{revision} has answered {answers} times")

    async def address_inside(self) -> str:
        """Service NAME, as pods find it; the node is in the same network."""
        service = await self.kube.get(SERVICES, self.namespace, self.name)
        return f"http://{service['spec']['clusterIP']}:{service['spec']['ports'][0]['port']}"

    async def is_routed(self, host: str) -> bool:
        async with (
            aiohttp.ClientSession() as session,
            session.get(self.cluster.gateway_url, headers={"Host": host}) as answer,
        ):
            return answer.ok

    # -- what is there -------------------------------------------------------------------------------------------

    async def release(self) -> dict[str, Any]:
        return await self.kube.get(RELEASES, self.namespace, self.name)

    async def status(self) -> dict[str, Any]:
        status: dict[str, Any] = (await self.release())["status"]
        return status

    async def until(self, met: Callable[[dict[str, Any]], Any], seconds: float = 60.0) -> dict[str, Any]:
        """The first status that is about the present spec and meets the condition."""
        release: dict[str, Any] = {}

        async def is_met() -> bool:
            release.update(await self.release())
            status = release["status"]
            return bool(status["observedGeneration"] >= release["metadata"]["generation"] and met(status))

        try:
            await until(is_met, "the status", seconds)
        except AssertionError:
            log = await self.kubectl("logs", f"--namespace={OPERATOR_NAMESPACE}", "--tail=50", "deployment/pointsman")
            raise AssertionError(
                f"not within {seconds:g} s; the status is {release.get('status')}; the operator said:\n{log.text}"
            ) from None
        status: dict[str, Any] = release["status"]
        return status

    async def until_phase(self, *phases: str, seconds: float = 60.0) -> dict[str, Any]:
        return await self.until(lambda status: status.get("phase") in phases, seconds)

    async def until_weight(self, weight: int) -> str:
        """The canary's revision, once it has this share of the work."""
        status = await self.until(lambda status: status.get("weight") == weight)
        canary: str = status["canaryRevision"]
        return canary

    async def service_revision(self) -> str:
        """Whom callers of Service NAME get."""
        service = await self.kube.get(SERVICES, self.namespace, self.name)
        return str(service["spec"]["selector"].get(REVISION_LABEL, ""))

    async def shares(self) -> dict[str, int]:
        """Weights of the route, of ten thousand, by revision; zeros left out."""
        route = await self.kube.find(HTTP_ROUTES, self.namespace, self.name)
        backends = route["spec"]["rules"][0]["backendRefs"] if route else []
        return {item["name"].removeprefix(f"{self.name}-"): item["weight"] for item in backends if item["weight"]}

    async def pods(self, revision: str) -> list[dict[str, Any]]:
        labels = f"{RELEASE_LABEL}={self.name},{REVISION_LABEL}={revision}"
        return await self.kube.list(PODS, self.namespace, labels=labels)

    async def until_gone(self, revision: str) -> None:
        """Its last pod has ended."""

        async def is_gone() -> bool:
            return not await self.pods(revision)

        await until(is_gone, f"no pod of {revision} is left")

    async def moment_without_endpoints(self, revision: str) -> float:
        """Unix time at which the revision's Service had no ready address any more."""

        async def has_none() -> bool:
            return not await self._has_endpoints(revision)

        await until(has_none, f"{revision} has no ready endpoint")
        return time.time()

    async def moment_with_endpoints(self, revision: str) -> float:
        """Unix time at which the revision's Service had its first ready address."""
        await until(lambda: self._has_endpoints(revision), f"{revision} has a ready endpoint")
        return time.time()

    async def _has_endpoints(self, revision: str) -> bool:
        labels = f"kubernetes.io/service-name={self.name}-{revision}"
        slices = await self.kube.list(ENDPOINT_SLICES, self.namespace, labels=labels)
        endpoints = [endpoint for piece in slices for endpoint in piece.get("endpoints") or []]
        return any(endpoint["conditions"].get("ready", True) for endpoint in endpoints)

    async def moment_with_shares(self, shares: dict[str, int]) -> float:
        """Unix time at which the route had these weights."""

        async def has_them() -> bool:
            return await self.shares() == shares

        await until(has_them, f"the route's weights are {shares}")
        return time.time()

    # -- what goes wrong -----------------------------------------------------------------------------------------

    async def kill_pods(self, revision: str) -> None:
        """All at once, without last words; the kubelet starts them again."""
        assert containers.send(signal.SIGKILL, await self.pods(revision))

    async def freeze_pods(self, revision: str) -> Callable[[], Any]:
        """They take requests and answer none, until what is returned is called."""
        pods = await self.pods(revision)
        assert containers.send(signal.SIGSTOP, pods)
        return lambda: containers.send(signal.SIGCONT, pods)

    async def delete_pods(self, revision: str) -> None:
        """All at once, as a drained node does: they are told, and finish what they have."""
        names = [pod["metadata"]["name"] for pod in await self.pods(revision)]
        await asyncio.gather(*(self.kube.delete(PODS, self.namespace, name) for name in names))

    # -- what a person types -------------------------------------------------------------------------------------

    async def kubectl(self, *arguments: str) -> Typed:
        """In the shop's namespace, unless another one is named."""
        return await self._type(str(self.cluster.kubectl), arguments, columns=200)

    async def pointsman(self, *arguments: str, columns: int = 200) -> Typed:
        """In the shop's namespace, in a terminal of this width."""
        return await self._type(str(_POINTSMAN), arguments, columns=columns)

    async def replay(self, run: str, file: Path) -> list[dict[str, Any]]:
        """What `pointsman replay --json` says of an AnalysisRun, once it was saved: its looks, and the verdict."""
        saved = await self.kubectl("get", "analysisrun", run, "--output=json")
        file.write_text(saved.text)  # noqa: ASYNC240 - small, and nothing else runs
        said = await self._run(str(_POINTSMAN), ("replay", str(file), "--json"), columns=200)
        assert said.code == 0, said.text
        return [json.loads(line) for line in said.text.splitlines()]

    async def _type(self, program: str, arguments: tuple[str, ...], *, columns: int) -> Typed:
        elsewhere = any(argument.startswith("--namespace") for argument in arguments)
        here = () if elsewhere else (f"--namespace={self.namespace}",)
        return await self._run(program, (*arguments, *here), columns=columns)

    async def _run(self, program: str, arguments: tuple[str, ...], *, columns: int) -> Typed:
        process = await asyncio.create_subprocess_exec(
            program, *arguments,
            env={**os.environ, "KUBECONFIG": str(self.cluster.kubeconfig), "COLUMNS": str(columns)},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(_COMMAND_S):
            output, _ = await process.communicate()
        return Typed(process.returncode or 0, output.decode())


def set_values(release: dict[str, Any], **values: str) -> None:
    """Of its container's environment."""
    for variable in release["spec"]["template"]["spec"]["containers"][0]["env"]:
        if variable["name"] in values:
            variable["value"] = values[variable["name"]]


NOT_JUDGED: dict[str, Any] = {"metrics": []}
"""`analysis` for tests in which steps are passed by time or by a person."""

SHORT_DRAIN = {"quiet": "1s", "max": "10s"}


def weight(percent: int, **analyze: str) -> dict[str, Any]:
    return {"weight": percent, "analyze": analyze} if analyze else {"weight": percent}


def pause(seconds: int) -> dict[str, Any]:
    return {"pause": {"for": f"{seconds}s"}}


APPROVE: dict[str, Any] = {"approve": {}}
