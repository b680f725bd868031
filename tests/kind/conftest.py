"""Fixtures of the tests on three nodes: one cluster on kind with two operators for all, a namespace for each.

The words are those of the end-to-end tests; what is new is that a node can be lost.
"""

import pytest

from hack.install import SUBJECT, Kubectl, install
from hack.node.kind import Kind
from tests.e2e.conftest import kube, measured, operator_pod, pytest_terminal_summary, shop
from tests.kind.nodes import Nodes

__all__ = ["cluster", "kube", "measured", "nodes", "operator_pod", "pytest_terminal_summary", "shop"]

_NODES = 3


@pytest.fixture(scope="session")
def backend():
    return Kind(nodes=_NODES)


@pytest.fixture(scope="session")
def cluster(backend):
    """Up, with this checkout's Pointsman installed. It stays."""
    cluster = backend.up()
    install(cluster, print, SUBJECT, replicas=2)
    return cluster


@pytest.fixture
def nodes(backend, cluster, kube):
    found = Nodes(backend, Kubectl(cluster), kube)
    yield found
    found.mend()
