"""A real API server for the integration tests: etcd, API server and controller manager, no nodes.

One serves the whole test session. With xdist the workers share it: the first that needs it starts it, the last that
leaves stops it. Tests keep out of each other's way by a namespace each.
"""

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import httpx
import pytest
import yaml

import crds
from controller.api.resources import CRDS, NAMESPACES
from controller.kube.client import KubeClient
from hack.node import build
from hack.node.controlplane import ControlPlane

_DEADLINE_S = 30.0


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of an administrator. Pointsman's CRDs, those of Gateway API and of Traefik are there."""
    own = tmp_path_factory.getbasetemp()
    session = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with _shared(session / "api-server") as kubeconfig:
        yield kubeconfig


@pytest.fixture
async def kube(api_server: Path) -> AsyncIterator[KubeClient]:
    """As administrator."""
    client = await KubeClient.connect(str(api_server))
    yield client
    await client.close()


@pytest.fixture
async def namespace(kube: KubeClient) -> AsyncIterator[str]:
    """An empty one of the test's own, in which pods can be made."""
    async with new_namespace(kube) as name:
        yield name


@asynccontextmanager
async def new_namespace(kube: KubeClient) -> AsyncIterator[str]:
    name = f"test-{uuid4().hex[:10]}"
    await kube.create(NAMESPACES, None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    async with asyncio.timeout(_DEADLINE_S):
        while not (await kube.request("GET", f"/api/v1/namespaces/{name}/serviceaccounts"))["items"]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # the controller manager makes it
    yield name
    await kube.delete(NAMESPACES, None, name)


@contextmanager
def _shared(directory: Path) -> Iterator[Path]:
    """Who uses it holds a lock on `users`, which the kernel takes back even from a worker that is killed."""
    directory.mkdir(parents=True, exist_ok=True)
    plane, started = ControlPlane(directory / "cluster"), directory / "started"
    with (directory / "users").open("w") as users:
        with _alone(directory):
            fcntl.flock(users, fcntl.LOCK_SH)
            if not started.exists():
                try:
                    plane.start()
                    with plane.http() as http:
                        define(http, [*crds.definitions(), *gateway_api(), *traefik_crds()])
                except BaseException:
                    plane.stop()
                    raise
                started.touch()
        try:
            yield plane.kubeconfig
        finally:
            with _alone(directory):
                if _is_last(users):
                    started.unlink()
                    plane.stop()


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_last(users: IO[str]) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def gateway_api() -> list[dict[str, Any]]:
    found = [
        document
        for file in build.program("gateway-api").glob("*.yaml")
        for document in yaml.load_all(file.read_text(), Loader=yaml.CSafeLoader)
    ]
    return [document for document in found if document and document["kind"] == CRDS.kind]


def traefik_crds() -> list[dict[str, Any]]:
    text = (build.program("traefik-crds") / "kubernetes-crd-definition-v1.yml").read_text()
    return [document for document in yaml.load_all(text, Loader=yaml.CSafeLoader) if document]


def define(http: httpx.Client, definitions: Sequence[Mapping[str, Any]]) -> None:
    """Creates CRDs, and returns when objects of theirs can be made."""
    for definition in definitions:
        answer = http.post(CRDS.path(), json=definition)
        if answer.is_error:
            raise AssertionError(f"{definition['metadata']['name']}: {answer.json()['message']}")
    deadline = time.monotonic() + _DEADLINE_S
    for definition in definitions:
        spec = definition["spec"]
        served = next(version["name"] for version in spec["versions"] if version["served"])
        while http.get(f"/apis/{spec['group']}/{served}/{spec['names']['plural']}").is_error:
            if time.monotonic() > deadline:
                raise AssertionError(f"{definition['metadata']['name']} is not served after {_DEADLINE_S:.0f} s")
            time.sleep(0.05)
