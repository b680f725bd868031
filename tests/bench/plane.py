"""A control plane without nodes, and the operator as a process whose requests and CPU are counted.

What the operator asks is counted by the API server's audit log, for a user of its own: nothing that it sends, by
whatever client, can be missing there.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

import crds
from controller.api.resources import NAMESPACES, RELEASES
from controller.kube.client import KubeClient
from hack.node import build
from hack.node.controlplane import ControlPlane
from hack.node.process import free_port
from tests.beside import beside
from tests.gateway import Gateway
from tests.integration.cluster_fixture import define, gateway_api

OPERATOR = "pointsman-operator"
_POINTSMAN = Path(sys.executable).parent / "pointsman"
_TICKS = os.sysconf("SC_CLK_TCK")
_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "users": [OPERATOR]}, {"level": "None"}],
}


class Plane:
    def __init__(self, plane: ControlPlane, kube: KubeClient, directory: Path) -> None:
        self.kube = kube
        self._plane = plane
        self._directory = directory
        self._audit = directory / "audit.log"
        self._kubeconfig = plane.client_kubeconfig("operator", user=OPERATOR, group="system:masters")
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    def start_operator(self, namespace: str) -> None:
        # pods are played here, and there is no network to wait for
        self.start("run", "--namespace", namespace, "--ledger-port", "0", "--network-seconds", "0")

    def start(self, command: str, *options: str) -> None:
        """`pointsman COMMAND`, whose requests and CPU are counted."""
        self._port = free_port()
        arguments = [str(_POINTSMAN), command, *options, "--port", str(self._port), "--address", "127.0.0.1"]
        with (self._directory / "operator.log").open("ab") as log:
            self._process = subprocess.Popen(
                arguments, env={**os.environ, "KUBECONFIG": str(self._kubeconfig)}, stdout=log, stderr=log
            )

    def stop_operator(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                last = self.operator_log().splitlines()[-40:]
                raise RuntimeError("\n".join(["the operator does not end; its last words:", *last])) from None
            self._process = None

    def operator_log(self) -> str:
        return (self._directory / "operator.log").read_text()

    def cpu_s(self) -> float:
        assert self._process is not None
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def rss_mib(self) -> float:
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024

    async def metrics(self) -> dict[str, float]:
        """What the operator's /metrics says; nothing while it does not answer yet."""
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{self._port}/metrics") as answer,
            ):
                lines = (await answer.text()).splitlines()
        except aiohttp.ClientError:
            return {}
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}

    def requests(self) -> dict[str, int]:
        """Requests of the operator so far, by verb and kind; leases apart, under their own name."""
        found: dict[str, int] = {}
        if self._audit.exists():
            for line in self._audit.read_text().splitlines():
                try:
                    event = json.loads(line)
                except ValueError:
                    continue  # the last line may still be written
                kind = event.get("objectRef", {}).get("resource", "other")
                name = f"{event['verb']} {kind}"
                found[name] = found.get(name, 0) + 1
        return found

    def requests_without_leases(self) -> int:
        return sum(count for name, count in self.requests().items() if not name.endswith(" leases"))


@asynccontextmanager
async def plane(*namespaces: str, controllers: bool = True) -> AsyncIterator[Plane]:
    """Without `controllers` no Deployment gets pods, and what is written into a status stays."""
    with tempfile.TemporaryDirectory(prefix="pointsman-bench-") as name:
        directory = Path(name)
        policy = directory / "audit-policy.json"
        policy.write_text(json.dumps(_POLICY))
        build.ensure("etcd", "kube-apiserver", "kube-controller-manager", "gateway-api")
        flags = [
            f"--audit-policy-file={policy}",
            f"--audit-log-path={directory / 'audit.log'}",
            "--audit-log-mode=batch",
            "--audit-log-batch-max-wait=500ms",
            "--audit-log-maxsize=2000",
            "--max-requests-inflight=3000",
            "--max-mutating-requests-inflight=1500",
        ]
        with ControlPlane(directory / "plane", apiserver_flags=flags, controller_manager=controllers) as control:
            with control.http() as http:
                define(http, [*crds.definitions(), *gateway_api()])
            kube = await KubeClient.connect(str(control.kubeconfig))
            for namespace in namespaces:
                body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
                await kube.create(NAMESPACES, None, body)
            made = Plane(control, kube, directory)
            try:
                async with beside(Gateway(kube).run()):
                    yield made
            finally:
                made.stop_operator()
                await kube.close()


async def at_once(tasks: list[Any], most: int = 20) -> None:
    """Runs coroutines, `most` at a time."""
    gate = asyncio.Semaphore(most)

    async def one(task: Any) -> None:
        async with gate:
            await task

    await asyncio.gather(*(one(task) for task in tasks))


def template_of(image: str) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "web", "image": image}]}}


def release_of(name: str, image: str, *steps: dict[str, Any], replicas: int = 0, **spec: Any) -> dict[str, Any]:
    """As little of a Release as will do; `spec` adds fields."""
    return {
        "apiVersion": RELEASES.api_version,
        "kind": RELEASES.kind,
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "template": template_of(image),
            "service": {"ports": [{"port": 80}]},
            "traffic": {"gatewayAPI": {"parentRefs": [{"name": "public"}], "hostnames": [f"{name}.localhost"]}},
            "strategy": {"canary": {"steps": list(steps)}},
            **spec,
        },
    }


def now() -> float:
    return time.monotonic()
