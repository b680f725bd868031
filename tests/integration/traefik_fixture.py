"""A real Traefik beside a real API server, and versions of a service that say which one they are."""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from controller.api.resources import ENDPOINT_SLICES, GATEWAY_CLASSES, GATEWAYS, SERVICES
from controller.kube.client import KubeClient
from controller.kube.host_names import HostNames
from controller.ports import Previews, RoutedService, Router, RouterContext, Weights
from controller.registry import modules
from controller.rollout.preview import Preview
from hack.node import build
from hack.node.influx import InfluxDB
from hack.node.process import Daemon, free_port, stop
from tests.beside import beside
from tests.integration.influx_server import Server

HOST = "web.example.com"
STABLE, CANARY = "a" * 10, "b" * 10
DEADLINE_S = 60.0


def own_address() -> str:
    """An EndpointSlice may not name the loopback; nothing is sent to find out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but the loopback")
        return str(probe.getsockname()[0])


class Version:
    """Answers each request with its name, and counts them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.code = 200
        self.requests: Counter[str] = Counter()
        """By header x-from."""

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                who = next((line.split(":")[1].strip() for line in head.split("\r\n") if line.startswith("x-from")), "")
                self.requests[who] += 1
                body = self.name.encode()
                writer.write(b"HTTP/1.1 %d Said\r\nContent-Length: %d\r\n\r\n%s" % (self.code, len(body), body))
                await writer.drain()
        writer.close()


class Traefik:
    """`crd`: it reads TraefikServices as well. `influx`: it says there what it has counted."""

    def __init__(self, kubeconfig: Path, directory: Path, *, crd: bool = True, influx: InfluxDB | None = None) -> None:
        self.port = free_port()
        admin = free_port()
        self._health = f"http://127.0.0.1:{admin}/ping"
        providers: dict[str, Any] = {"kubernetesGateway": {}}
        if crd:
            # as the installer of a cluster may: here no ClusterIP leads anywhere
            providers["kubernetesCRD"] = {"allowEmptyServices": True}
        config: dict[str, Any] = {
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
            "entryPoints": {
                "web": {"address": f"127.0.0.1:{self.port}"},
                "traefik": {"address": f"127.0.0.1:{admin}"},
            },
            "ping": {},
            "providers": providers,
        }
        if influx is not None:
            pushed = {"address": influx.url, "token": influx.token, "org": influx.org, "bucket": influx.bucket}
            config["metrics"] = {"influxDB2": {**pushed, "pushInterval": "1s", "addServicesLabels": True}}
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / "traefik.yaml"
        file.write_text(yaml.safe_dump(config))
        self._daemon = Daemon(
            name="traefik",
            directory=directory,
            command=[build.program("traefik"), f"--configFile={file}"],
            env={"KUBECONFIG": str(kubeconfig)},
        )

    @contextlib.contextmanager
    def running(self) -> Iterator["Traefik"]:
        self._daemon.start()
        try:
            self._daemon.wait_until(self._answers, seconds=DEADLINE_S)
            yield self
        finally:
            stop(self._daemon.record, seconds=5)

    def _answers(self) -> bool:
        try:
            return httpx.get(self._health, trust_env=False).is_success
        except httpx.TransportError:
            return False


class Mall:
    """A service in a namespace of its own, with two versions, behind a Gateway of Traefik's."""

    def __init__(self, kube: KubeClient, namespace: str, traefik: Traefik) -> None:
        self.kube = kube
        self.namespace = namespace
        self.traefik = traefik
        self.versions = {STABLE: Version(STABLE), CANARY: Version(CANARY)}
        self.hosts = HostNames()
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{traefik.port}", trust_env=False, timeout=10)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Mall"]:
        address = own_address()
        async with contextlib.AsyncExitStack() as stack:
            for revision, version in self.versions.items():
                server = await asyncio.start_server(version.converse, address, 0)
                stack.push_async_callback(_closed, server)
                await self._service(f"web-{revision}", address, server.sockets[0].getsockname()[1])
            await self._gateway()
            await stack.enter_async_context(self.http)
            yield self
        await self.kube.request("DELETE", GATEWAY_CLASSES.path(None, self.namespace))

    async def _service(self, name: str, address: str, port: int) -> None:
        ports = [{"name": "http", "port": 80, "targetPort": port}]
        body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": ports}}
        await self.kube.create(SERVICES, self.namespace, body)
        slice_ = {
            "apiVersion": ENDPOINT_SLICES.api_version,
            "kind": ENDPOINT_SLICES.kind,
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
            "ports": [{"name": "http", "port": port}],
        }
        await self.kube.create(ENDPOINT_SLICES, self.namespace, slice_)

    async def _gateway(self) -> None:
        meta = {"apiVersion": GATEWAY_CLASSES.api_version}
        spec = {"controllerName": "traefik.io/gateway-controller"}
        named = {"metadata": {"name": self.namespace}}
        await self.kube.create(GATEWAY_CLASSES, None, {**meta, "kind": "GatewayClass", **named, "spec": spec})
        listener = {"name": "web", "protocol": "HTTP", "port": self.traefik.port}
        gateway = {"gatewayClassName": self.namespace, "listeners": [listener]}
        public = {"metadata": {"name": "public"}, "spec": gateway}
        await self.kube.create(GATEWAYS, self.namespace, {**meta, "kind": "Gateway", **public})

    def router(self, kind: str, *, left: bool = False, cookie: str = "", **more: Any) -> Router:
        """As for each pass."""
        module = modules("routers")[kind]
        own = {"native_lb": False} if kind == "traefik" else {}
        parents = ({"name": "public"},)
        config = None if left else module.Config(parent_refs=parents, hostnames=(HOST,), **own, **more)
        ports = ({"name": "http", "port": 80},)
        target = RoutedService(self.namespace, "web", None, ports, {STABLE: ports, CANARY: ports}, cookie)
        return module.create(config, target, RouterContext(self.kube, (self.hosts, self.kube.clock)))

    async def ensure(self, kind: str, shares: Mapping[str, float], **more: Any) -> None:
        """Until it is as wanted, pass by pass."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                router = self.router(kind, **more)
                seen = await router.observe()
                if seen is not None and dict(seen.shares) == dict(shares) and not seen.signs.refused:
                    return
                await router.ensure(Weights(shares, stable=STABLE))
                await asyncio.sleep(0.2)

    async def show(self, kind: str, preview: Preview | None) -> None:
        router = self.router(kind)
        await router.observe()
        assert isinstance(router, Previews)
        await router.show(preview)

    async def leave(self, kind: str) -> None:
        router = self.router(kind, left=True)
        await router.observe()
        await router.reset(STABLE)

    async def ask(self, **headers: str) -> httpx.Response:
        """As a client that nobody knows."""
        self.http.cookies.clear()
        return await self.http.get("/", headers={"host": HOST, **headers})

    async def split(self, requests: int, **headers: str) -> Counter[str]:
        return Counter([(await self.ask(**headers)).text for _ in range(requests)])

    async def until_served(self, revision: str) -> None:
        """Traefik has read what was written: so many in a row come from there."""
        in_a_row = 0
        async with asyncio.timeout(DEADLINE_S):
            while in_a_row < 30:
                answer = await self.ask()
                in_a_row = in_a_row + 1 if answer.is_success and answer.text == revision else 0
                await asyncio.sleep(0.01)

    @contextlib.asynccontextmanager
    async def callers(self) -> AsyncIterator[Counter[int]]:
        """Requests without a pause; the answers by code."""
        codes: Counter[int] = Counter()

        async def call() -> None:
            while True:
                codes[(await self.ask()).status_code] += 1
                await asyncio.sleep(0.002)

        async with beside(call()):
            yield codes


async def _closed(server: asyncio.Server) -> None:
    server.close()


@pytest.fixture
async def mall(kube: KubeClient, namespace: str, api_server: Path, tmp_path: Path) -> AsyncIterator[Mall]:
    with Traefik(api_server, tmp_path / "traefik").running() as traefik:
        async with Mall(kube, namespace, traefik).open() as one:
            yield one


@pytest.fixture
async def plain_mall(kube: KubeClient, namespace: str, api_server: Path, tmp_path: Path) -> AsyncIterator[Mall]:
    """Behind a Traefik that reads no TraefikServices."""
    with Traefik(api_server, tmp_path / "traefik", crd=False).running() as traefik:
        async with Mall(kube, namespace, traefik).open() as one:
            yield one


@pytest.fixture
async def counted_mall(
    kube: KubeClient, namespace: str, api_server: Path, tmp_path: Path, running: Server
) -> AsyncIterator[Mall]:
    """Its Traefik pushes what it has counted to InfluxDB."""
    with Traefik(api_server, tmp_path / "traefik", influx=running.influx).running() as traefik:
        async with Mall(kube, namespace, traefik).open() as one:
            yield one
