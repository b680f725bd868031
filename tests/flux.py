"""A real kustomize-controller of Flux, as a process beside an API server. The tests are its source-controller.

That one is not to be had from a package registry: a commit here is a tarball, served on loopback, and a status of the
GitRepository that names it.
"""

import asyncio
import contextlib
import hashlib
import io
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import yaml

from controller.api.resources import CRDS, Resource
from controller.kube.client import ConflictError, KubeClient
from hack.node import build
from hack.node.process import Daemon, ending_with_starter, free_port

KUSTOMIZATIONS = Resource("kustomize.toolkit.fluxcd.io", "v1", "kustomizations", "Kustomization")
GIT_REPOSITORIES = Resource("source.toolkit.fluxcd.io", "v1", "gitrepositories", "GitRepository")
_OTHER_SOURCES = {"OCIRepository": "ocirepositories", "Bucket": "buckets", "ExternalArtifact": "externalartifacts"}
_SHIPPED = Path(__file__).parents[1] / "gitops" / "flux"
SERVING, PROMOTED = (yaml.safe_load((_SHIPPED / f"{name}.yaml").read_text()) for name in ("serving", "promoted"))
_OURS = "tests.pointsman.dev/flux"
_READY_S = 60.0
DEADLINE_S = 120.0


@dataclass(frozen=True)
class Served:
    """Tarballs by path."""

    url: str
    content: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Running:
    mark: str
    """Of the Kustomizations that this one looks at: others run beside it."""
    served: Served
    log: Path


@contextlib.contextmanager
def controller(kubeconfig: Path, folder: Path) -> Iterator[Running]:
    """As administrator of the cluster; a Kustomization keeps its finalizer when it ends."""
    mark = f"flux-{uuid4().hex[:10]}"
    health = f"127.0.0.1:{free_port()}"
    daemon = Daemon(
        name="kustomize-controller",
        directory=folder,
        command=[
            *ending_with_starter(),
            build.program("kustomize-controller"),
            f"--health-addr={health}",
            f"--metrics-addr=127.0.0.1:{free_port()}",
            f"--watch-label-selector={_OURS}={mark}",
            "--enable-leader-election=false",
            "--feature-gates=CancelHealthCheckOnNewRevision=true",
        ],
        env={"KUBECONFIG": str(kubeconfig), "RUNTIME_NAMESPACE": "default", "TMPDIR": str(folder)},
    )
    asyncio.run(_define(kubeconfig))
    with _serving() as served:
        daemon.start()
        try:
            daemon.wait_until(lambda: _healthy(health), seconds=_READY_S)
            yield Running(mark, served, daemon.log)
        finally:
            daemon.stop(seconds=5)


@dataclass
class Flux:
    """A GitRepository `shop` and a Kustomization of it, in the namespace of the test."""

    kube: KubeClient
    namespace: str
    running: Running
    url: str = "https://git.example.com/team/shop.git"

    async def commit(self, files: Mapping[str, str]) -> str:
        """What the branch has from now on; its revision."""
        packed = _packed(files)
        digest = hashlib.sha256(packed).hexdigest()
        revision = f"main@sha1:{digest[:40]}"
        path = f"/{self.namespace}/{digest}.tar.gz"
        self.running.served.content[path] = packed
        artifact = {
            "url": f"{self.running.served.url}{path}",
            "path": path[1:],
            "revision": revision,
            "digest": f"sha256:{digest}",
            "size": len(packed),
            "lastUpdateTime": "2026-11-29T12:00:00Z",
        }
        source = await self.kube.find(GIT_REPOSITORIES, self.namespace, "shop")
        if source is None:
            source = {
                "apiVersion": GIT_REPOSITORIES.api_version,
                "kind": GIT_REPOSITORIES.kind,
                "metadata": {"name": "shop"},
                "spec": {"url": self.url, "ref": {"branch": "main"}, "interval": "1h"},
                "status": {"artifact": artifact},
            }
            await self.kube.create(GIT_REPOSITORIES, self.namespace, source)
        else:
            await self.kube.replace(GIT_REPOSITORIES, {**source, "status": {"artifact": artifact}})
        return revision

    async def follow(self, kustomization: Mapping[str, Any], **spec: Any) -> None:
        """`kustomization`: as it is shipped."""
        body = {
            **kustomization,
            "metadata": {"name": "shop", "labels": {_OURS: self.running.mark}},
            "spec": {**kustomization["spec"], "path": "./", "targetNamespace": self.namespace, **spec},
        }
        await self.kube.create(KUSTOMIZATIONS, self.namespace, body)

    async def wait_by(self, kustomization: Mapping[str, Any]) -> None:
        """As another one of those that are shipped, from now on."""
        checks = ("healthCheckExprs", "timeout", "wait")
        patch = {"spec": {name: kustomization["spec"].get(name) for name in checks}}
        await self.kube.patch(KUSTOMIZATIONS, self.namespace, "shop", patch)

    async def stop(self) -> None:
        """What it has applied goes."""
        await self.kube.delete(KUSTOMIZATIONS, self.namespace, "shop")
        async with asyncio.timeout(DEADLINE_S):
            while await self.kube.find(KUSTOMIZATIONS, self.namespace, "shop") is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    async def look_again(self) -> str:
        """As `flux reconcile kustomization` does; what its status says once that is done."""
        wanted = uuid4().hex
        patch = {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": wanted}}}
        await self.kube.patch(KUSTOMIZATIONS, self.namespace, "shop", patch)
        return wanted

    async def kustomization(self) -> dict[str, Any]:
        return await self.kube.get(KUSTOMIZATIONS, self.namespace, "shop")

    async def until(self, met: Callable[[dict[str, dict[str, Any]], dict[str, Any]], Any]) -> dict[str, dict[str, Any]]:
        """Conditions by type that meet it; the whole status is given, too."""
        status: dict[str, Any] = {}
        try:
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    status = (await self.kustomization()).get("status") or {}
                    conditions = {one["type"]: one for one in status.get("conditions", ())}
                    if met(conditions, status):
                        return conditions
                    await asyncio.sleep(0.1)
        except TimeoutError:
            said = self.running.log.read_text()[-2000:]
            raise AssertionError(f"not within {DEADLINE_S:g} s; the status is {status}; Flux said:\n{said}") from None

    async def until_ready(self, revision: str) -> None:
        await self.until(
            lambda found, status: (
                found.get("Ready", {}).get("status") == "True" and status.get("lastAppliedRevision") == revision
            )
        )

    async def until_failed_early(self) -> str:
        """Long before the time-out, as something says that it is stalled; what Flux says of it."""
        conditions = await self.until(
            lambda found, _: (
                found.get("Ready", {}).get("reason") == "HealthCheckFailed" and "stalled" in found["Ready"]["message"]
            )
        )
        return str(conditions["Ready"]["message"])

    async def applied(self) -> set[str]:
        """Kinds of what its inventory has."""
        entries = (await self.kustomization()).get("status", {}).get("inventory", {}).get("entries", [])
        return {entry["id"].rpartition("_")[2] for entry in entries}


def _packed(files: Mapping[str, str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()


async def _define(kubeconfig: Path) -> None:
    """Harmless where another worker of the session has done it."""
    folder = build.program("kustomize-controller-crds")
    shipped = [one for file in folder.glob("*.yaml") for one in yaml.safe_load_all(file.read_text()) if one]
    sources = {GIT_REPOSITORIES.kind: GIT_REPOSITORIES.plural, **_OTHER_SOURCES}
    definitions = [*shipped, *(_source(kind, plural) for kind, plural in sources.items())]
    kube = await KubeClient.connect(str(kubeconfig))
    try:
        for definition in definitions:
            with contextlib.suppress(ConflictError):
                await kube.create(CRDS, None, definition)
        for definition in definitions:
            await _until_served(kube, definition["metadata"]["name"])
    finally:
        await kube.close()


async def _until_served(kube: KubeClient, name: str) -> None:
    async with asyncio.timeout(_READY_S):
        while True:
            conditions = (await kube.get(CRDS, None, name)).get("status", {}).get("conditions") or ()
            if any((one["type"], one["status"]) == ("Established", "True") for one in conditions):
                return
            await asyncio.sleep(0.05)


def _source(kind: str, plural: str) -> dict[str, Any]:
    """As little as kustomize-controller needs to watch them."""
    open_object = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": open_object, "status": open_object}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": CRDS.api_version,
        "kind": CRDS.kind,
        "metadata": {"name": f"{plural}.{GIT_REPOSITORIES.group}"},
        "spec": {
            "group": GIT_REPOSITORIES.group,
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "scope": "Namespaced",
            "versions": [version],
        },
    }


@contextlib.contextmanager
def _serving() -> Iterator[Served]:
    content: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            """Tests are silent."""

        def do_GET(self) -> None:
            body = content.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{server.server_port}", content)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _healthy(address: str) -> bool:
    try:
        return httpx.get(f"http://{address}/healthz", timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False
