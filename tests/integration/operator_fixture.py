"""The operator as a process of its own, as it runs in a pod: one per test, for the test's namespace only."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from controller.api.resources import (
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    HTTP_ROUTES,
    RELEASE_ACTIONS,
    RELEASES,
    SERVICES,
)
from controller.kube.client import ConflictError, KubeClient
from tests.integration.node import Node

DEADLINE_S = 180.0
_POINTSMAN = Path(sys.executable).parent / "pointsman"


class OperatorProcess:
    def __init__(
        self,
        kubeconfig: Path,
        namespace: str,
        log: Path,
        *,
        lease_s: float | None = None,
        port: int = 0,
        ledger_port: int | None = 0,
        own: str | None = None,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`lease_s`: None: as long as in production, for a machine may be busy. The log's name is that of the pod: a
        process that follows a killed one in its pod need not wait for the Lease. `ledger_port`: None: that
        of an operator which knows of none. `own`: the operator's own namespace.
        """
        self._command = [
            str(_POINTSMAN), "run", "--namespace", own or namespace, "--only-namespace", namespace,
            "--port", str(port), "--address", "127.0.0.1",
        ]  # fmt: skip
        if ledger_port is not None:
            # pods are played here, and there is no network to wait for
            self._command += ["--ledger-port", str(ledger_port), "--network-seconds", "0"]
        if lease_s is not None:
            self._command += ["--lease-seconds", str(lease_s)]
        self._environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "POD_NAME": log.stem, **environment}
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def ends(self, seconds: float = 30) -> int:
        """By itself; its exit code."""
        assert self._process is not None
        try:
            code = await asyncio.to_thread(self._process.wait, seconds)
        except subprocess.TimeoutExpired:
            last = self.log.read_text().splitlines()[-40:]
            raise AssertionError("\n".join([f"it goes on after {seconds:.0f} s; its last words:", *last])) from None
        self._process = None
        return code

    def kill(self) -> None:
        """As the kernel does it: no last words."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        return self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(how)
        try:
            return process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            raise

    @contextmanager
    def running(self) -> Iterator["OperatorProcess"]:
        self.start()
        try:
            yield self
        finally:
            self._end(signal.SIGKILL)


class Shop:
    """One Release and what became of it, in the words of the domain."""

    name = "web"
    poll_s = 0.05
    operator: Any
    """An OperatorProcess, or another that writes a `log`."""

    def __init__(self, kube: KubeClient, namespace: str, node: Node, operator: Any, kubeconfig: Path) -> None:
        self.kube = kube
        self.namespace = namespace
        self.node = node
        self.operator = operator
        self._kubeconfig = kubeconfig

    async def given(self, release: dict[str, Any]) -> None:
        """Version 1 is stable."""
        await self.kube.create(RELEASES, self.namespace, release)
        await self.until(lambda status: status.get("phase") == "Healthy")

    async def commit(self, version: str, **spec: Any) -> None:
        """Offers a version, as `kubectl apply` of a changed manifest does."""

        def offer(release: dict[str, Any]) -> None:
            set_version(release, version)
            release["spec"].update(spec)

        await self.edit(offer)

    async def edit(self, change: Callable[[dict[str, Any]], Any]) -> None:
        while True:
            release = await self.release()
            change(release)
            try:
                await self.kube.replace(RELEASES, release)
            except ConflictError:
                continue
            return

    async def release(self) -> dict[str, Any]:
        return await self.kube.get(RELEASES, self.namespace, self.name)

    async def status(self) -> dict[str, Any]:
        release = await self.release()
        status: dict[str, Any] = release["status"]
        return status

    async def until(self, met: Callable[[dict[str, Any]], Any], seconds: float = DEADLINE_S) -> dict[str, Any]:
        """The first status that is about the present spec, meets the condition, and whose weight the router has."""
        status: dict[str, Any] = {}
        try:
            async with asyncio.timeout(seconds):
                while True:
                    release = await self.release()
                    status = release["status"]
                    current = status["observedGeneration"] >= release["metadata"]["generation"]
                    done = "blocked" in status or not status.get("weightPending")
                    if current and done and met(status):
                        return status
                    await asyncio.sleep(self.poll_s)
        except TimeoutError:
            log = self.operator.log.read_text()[-3000:]
            raise AssertionError(
                f"not within {seconds:g} s; the status is {status}; the operator said:\n{log}"
            ) from None

    async def until_phase(self, *phases: str) -> dict[str, Any]:
        return await self.until(lambda status: status.get("phase") in phases)

    async def shares(self) -> dict[str, int]:
        """Weights of the route, by revision, zeros left out."""
        route = await self.kube.find(HTTP_ROUTES, self.namespace, self.name)
        backends = route["spec"]["rules"][0]["backendRefs"] if route else []
        return {item["name"].removeprefix(f"{self.name}-"): item["weight"] for item in backends if item["weight"]}

    async def selected(self) -> dict[str, str]:
        service = await self.kube.get(SERVICES, self.namespace, self.name)
        selector: dict[str, str] = service["spec"]["selector"]
        return selector

    async def objects(self) -> dict[str, list[str]]:
        kinds = (DEPLOYMENTS, SERVICES, CONTROLLER_REVISIONS)
        label = f"pointsman.dev/release={self.name}"
        return {
            kind.kind: sorted(
                item["metadata"]["name"] for item in await self.kube.list(kind, self.namespace, labels=label)
            )
            for kind in kinds
        }

    async def ask(self, action: str, revision: str) -> None:
        """As `pointsman ACTION` does."""
        body = {
            "apiVersion": RELEASE_ACTIONS.api_version,
            "kind": RELEASE_ACTIONS.kind,
            "metadata": {"name": f"{self.name}-{action}"},
            "spec": {
                "release": self.name,
                "action": action,
                "revision": revision,
                "reason": "a test",
                "requestedBy": "ana",
            },
        }
        await self.kube.create(RELEASE_ACTIONS, self.namespace, body)

    async def command(self, *arguments: str) -> tuple[int, str]:
        """Runs `pointsman ARGUMENTS -n NAMESPACE`: its exit code and what it printed."""
        process = await asyncio.create_subprocess_exec(
            str(_POINTSMAN), *arguments, "-n", self.namespace,
            env={**os.environ, "KUBECONFIG": str(self._kubeconfig), "COLUMNS": "160"},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(60):
            output, _ = await process.communicate()
        return process.returncode or 0, output.decode()


def release(*steps: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """Version 1 of a small web service behind a Gateway; `spec` replaces fields."""
    body: dict[str, Any] = {
        "apiVersion": RELEASES.api_version,
        "kind": RELEASES.kind,
        "metadata": {"name": Shop.name},
        "spec": {
            "replicas": 2,
            "progressDeadlineSeconds": 20,
            "template": {
                "spec": {"containers": [{"name": "web", "image": "web:1", "env": [{"name": "VERSION", "value": "1"}]}]}
            },
            "service": {"ports": [{"port": 80, "targetPort": 8080}]},
            "traffic": {"gatewayAPI": {"parentRefs": [{"name": "public"}], "hostnames": ["web.localhost"]}},
            "strategy": {"canary": {"steps": list(steps)}},
            "drain": {"quiet": "1s", "max": "5s"},
            **spec,
        },
    }
    return body


def set_version(release: dict[str, Any], version: str) -> None:
    release["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = version


def weight(percent: int, **analyze: str) -> dict[str, Any]:
    return {"weight": percent, "analyze": analyze} if analyze else {"weight": percent}


def pause(seconds: float) -> dict[str, Any]:
    return {"pause": {"for": f"{round(seconds * 1000)}ms"}}


APPROVE: dict[str, Any] = {"approve": {}}
