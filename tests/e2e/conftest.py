"""Fixtures of the end-to-end tests: one cluster with Pointsman on it for all, a namespace for each."""

import fcntl
import os
from uuid import uuid4

import pytest

from controller.api.resources import NAMESPACES
from controller.kube.client import KubeClient
from hack.install import Kubectl
from tests.e2e.installed import installed
from tests.e2e.operator_pod import OperatorPod
from tests.e2e.shop import Shop

_OURS = {"pointsman.dev/test": os.environ.get("PYTEST_XDIST_WORKER", "e2e")}
"""Those of this process."""
_RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """Up, with this checkout's Pointsman installed. It stays; the tests' namespaces must all have gone in the end."""
    with (tmp_path_factory.getbasetemp().parent / "install").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of two processes the second finds it all there
        cluster = installed()
    yield cluster
    selector = ",".join(f"{key}={value}" for key, value in _OURS.items())
    Kubectl(cluster)("wait", "--for=delete", "namespaces", f"--selector={selector}", "--timeout=120s")


@pytest.fixture
async def kube(cluster):
    """As administrator."""
    client = await KubeClient.connect(str(cluster.kubeconfig))
    yield client
    await client.close()


@pytest.fixture
async def shop(cluster, kube):
    """A namespace of the test's own, in which pods must be as harmless as the demo's."""
    name = f"e2e-{uuid4().hex[:8]}"
    metadata = {"name": name, "labels": _OURS | _RESTRICTED}
    await kube.create(NAMESPACES, None, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    yield Shop(cluster, kube, name)
    await kube.delete(NAMESPACES, None, name)


@pytest.fixture
def measured(record_property):
    """`measured("seconds", 9.2)`: told at the end of the session, whatever became of the test."""

    def measured(name, value):
        record_property(name, str(value))  # text goes from process to process

    return measured


def pytest_terminal_summary(terminalreporter):
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    for report in reports:
        if report.user_properties and report.when == "call":
            terminalreporter.section(report.nodeid.rpartition("::")[2], sep=" ")
            for name, value in report.user_properties:
                terminalreporter.write_line(f"  {name:<24} {value}")


@pytest.fixture
def operator_pod(kube):
    return OperatorPod(kube)
