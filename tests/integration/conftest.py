"""Fixtures that every integration test may ask for."""

import pytest

from tests.aws_account import on_aws_itself
from tests.integration.cluster_fixture import api_server, kube, namespace
from tests.integration.in_process import Stall
from tests.integration.node import Node
from tests.integration.operator_fixture import OperatorProcess, Shop

__all__ = ["api_server", "kube", "namespace"]


@pytest.fixture
async def shop(api_server, kube, namespace, tmp_path):
    """A namespace with a node that makes pods ready, and an operator at work."""
    operator = OperatorProcess(api_server, namespace, tmp_path / "operator.log")
    async with Node(kube, namespace).running() as node:
        with operator.running():
            yield Shop(kube, namespace, node, operator, api_server)


@pytest.fixture
async def node(kube, namespace):
    """A namespace with a node that makes pods ready, and no operator."""
    async with Node(kube, namespace).running() as node:
        yield node


@pytest.fixture
async def stall(api_server, kube, node, tmp_path):
    """A namespace with a node that makes pods ready, and an operator in this process."""
    async with Stall.open(kube, node, api_server, tmp_path / "operator.log") as stall:
        yield stall


@pytest.fixture
def second_operator(api_server, namespace, tmp_path):
    operator = OperatorProcess(api_server, namespace, tmp_path / "second.log")
    yield operator
    operator.kill()


def pytest_terminal_summary(terminalreporter):
    if not on_aws_itself():
        terminalreporter.write_line(
            "not run: queues and ledgers on AWS itself (set AWS_ENDPOINT_URL to nothing, and give credentials of an "
            "account for tests)"
        )
