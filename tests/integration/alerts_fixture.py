"""A real operator with the address that alerts are sent to, and a sender that a real API server knows."""

import asyncio
import time
from typing import Any

import httpx
import pytest

from controller.gates.http import ROLE
from tests.integration.operator_fixture import DEADLINE_S, OperatorProcess, Shop
from tests.integration.rights_fixture import bind, install
from tests.integration.service_accounts import token_for
from tests.unit.gates.bodies import alert, alertmanager


class Sender:
    """As a monitoring system has it: one address, and a token that it shows."""

    def __init__(self, url: str, namespace: str, token: str) -> None:
        self.url = f"{url}/v1/alerts/{namespace}"
        self.token = token

    async def __call__(self, body: dict[str, Any], *, token: str = "") -> int:
        """The first answer of one that leads, and knows of the right by now."""
        headers = {"Authorization": f"Bearer {token or self.token}"}
        deadline = time.monotonic() + DEADLINE_S
        async with httpx.AsyncClient(headers=headers, trust_env=False) as client:
            while True:
                try:
                    status = (await client.post(self.url, json=body)).status_code
                except httpx.TransportError:
                    status = 503
                if status != 503 or time.monotonic() > deadline:
                    return status
                await asyncio.sleep(0.1)


@pytest.fixture
async def operator(api_server, namespace, tmp_path, unused_tcp_port):
    operator = OperatorProcess(api_server, namespace, tmp_path / "operator.log", ledger_port=unused_tcp_port)
    with operator.running():
        yield operator


@pytest.fixture
async def alerted(kube, namespace, node, operator, api_server):
    return Shop(kube, namespace, node, operator, api_server)


@pytest.fixture
async def send(kube, namespace, operator, unused_tcp_port):
    await install(kube, "roles-people.yaml")
    token = await token_for(kube, namespace, audience="pointsman")
    sender = Sender(f"http://127.0.0.1:{unused_tcp_port}", namespace, token)
    assert await sender(alertmanager(alert())) == 403, "the right is given, and not had"
    await bind(kube, {f"system:serviceaccount:{namespace}:worker": [ROLE]}, namespace=namespace)
    deadline = time.monotonic() + DEADLINE_S
    while await sender(alertmanager(alert(service="nobody"))) == 403:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.5)
    return sender
