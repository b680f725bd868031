"""Who may send alerts, what is taken, and what a storm of them costs."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from controller.api.alerts import AlertGate
from controller.gates.http import AlertApi
from controller.gates.store import AlertStore
from controller.kube.callers import NOBODY, Caller
from controller.kube.client import KubeError
from controller.kube.objects import Key
from tests.unit.gates.bodies import NOW, alert, alertmanager, grafana, kapacitor

SENDER = "system:serviceaccount:monitoring:alertmanager"
ANY = (AlertGate({"service": "web"}, rolls_back=True),)


class Operator:
    def __init__(self) -> None:
        self.woken: list[Key] = []
        self.store = AlertStore(self.woken.append, lambda: NOW)
        self.leads = self.reachable = True
        self.allowed = {("monitoring", "shop")}
        app = web.Application()
        api = AlertApi(
            self.store,
            leads=lambda: self.leads,
            caller_of=self.caller_of,
            may_send=self.may_send,
            clock=lambda: NOW,
        )
        app.add_routes(api.routes())
        self.client = TestClient(TestServer(app), headers={"Authorization": "Bearer good"})

    async def caller_of(self, token: str, peer: str) -> Caller:
        if not self.reachable:
            raise KubeError(503, "Unavailable", "the API server does not answer")
        return Caller("monitoring", SENDER) if token == "good" else NOBODY  # noqa: S105 - of nothing

    async def may_send(self, caller: Caller, release: Key) -> bool:
        assert release.name == ""
        return (caller.namespace, release.namespace) in self.allowed

    async def send(self, body: Any, path: str = "/v1/alerts/shop", **headers: str) -> tuple[int, dict[str, Any]]:
        data = body if isinstance(body, str) else json.dumps(body)
        answer = await self.client.post(path, data=data, headers=headers)
        return answer.status, await answer.json()

    def firing(self, namespace: str = "shop") -> list[str]:
        return [one.name for one in self.store.firing(Key(namespace, "web"), ANY, ())]


@pytest.fixture
async def operator() -> AsyncIterator[Operator]:
    operator = Operator()
    async with operator.client:
        yield operator


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (alertmanager(alert(service="web")), "Errors"),
        (grafana(alert(service="web")), "Errors"),
        (kapacitor("CRITICAL"), "errors:service=web"),
    ],
)
async def test_each_sender_is_understood(operator: Operator, body: dict[str, Any], name: str) -> None:
    assert await operator.send(body) == (200, {"taken": 1})
    assert operator.firing() == [name]


async def test_alerts_go_to_the_namespaces_that_they_name(operator: Operator) -> None:
    operator.allowed.add(("monitoring", "bank"))
    body = alertmanager(
        alert(service="web", namespace="shop"), alert(service="web", namespace="bank"), alert(service="web")
    )
    status, said = await operator.send(body, "/v1/alerts")
    assert (status, said["taken"]) == (200, 2)
    assert said["leftOut"] == ["Errors has no label namespace; send it to /v1/alerts/NAMESPACE"]
    assert operator.firing() == operator.firing("bank") == ["Errors"]


async def test_alerts_of_a_namespace_that_the_sender_has_no_right_to_are_all_refused(operator: Operator) -> None:
    body = alertmanager(alert(service="web", namespace="shop"), alert(service="web", namespace="bank"))
    status, said = await operator.send(body, "/v1/alerts")
    assert status == 403
    assert said["error"] == (
        f"{SENDER} may not send alerts of namespace bank: bind ClusterRole pointsman-alerts to it there"
    )
    assert operator.firing() == operator.firing("bank") == []
    assert (await operator.send(body, "/v1/alerts/bank"))[0] == 403


@pytest.mark.parametrize("authorization", ["", "Basic Z29vZDo=", "Bearer forged"])
async def test_a_forged_alert_is_not_taken(operator: Operator, authorization: str) -> None:
    status, said = await operator.send(alertmanager(alert(service="web")), Authorization=authorization)
    assert status == 401
    assert "token" in said["error"]
    assert operator.firing() == []


async def test_an_alert_that_names_another_namespace_than_the_path_is_of_the_path(operator: Operator) -> None:
    await operator.send(alertmanager(alert(service="web", namespace="bank")))
    assert operator.firing() == ["Errors"]
    assert operator.firing("bank") == []


async def test_one_that_does_not_lead_sends_the_sender_on(operator: Operator) -> None:
    operator.leads = False
    answer = await operator.client.post("/v1/alerts/shop", json=alertmanager(alert()))
    assert (answer.status, answer.headers["Retry-After"], answer.headers["Connection"]) == (503, "1", "close")


async def test_while_the_api_server_does_not_answer_senders_come_again(operator: Operator) -> None:
    operator.reachable = False
    status, said = await operator.send(alertmanager(alert()))
    assert status == 503
    assert said["error"].startswith("the token cannot be verified right now")


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ("{", 400, "the body is not JSON"),
        ("[" * 100_000, 400, "the body is not JSON"),
        ("{}", 400, "the body has neither alerts"),
        (" " * (256 * 1024 + 1), 413, "the body is larger than 262144 bytes; set max_alerts of the receiver"),
    ],
)
async def test_a_body_that_cannot_be_read_is_refused(operator: Operator, body: str, status: int, sentence: str) -> None:
    answered, said = await operator.send(body)
    assert answered == status
    assert said["error"].startswith(sentence)


async def test_an_alert_with_five_thousand_labels_is_named_and_not_taken(operator: Operator) -> None:
    huge = alert(service="web", more={f"l{number}": "x" for number in range(5000)})
    status, said = await operator.send(alertmanager(huge))
    assert (status, said) == (400, {"taken": 0, "leftOut": ["an alert has 5002 labels, maximum is 100"]})
    status, said = await operator.send(alertmanager(huge, alert(service="web")))
    assert (status, said["taken"]) == (200, 1)


async def test_a_storm_is_sent_away_and_the_loop_goes_on(operator: Operator) -> None:
    """1,000 requests of ten alerts each, as fast as they come."""
    body = json.dumps(alertmanager(*(alert(service="web", pod=str(number)) for number in range(10))))
    statuses: list[int] = []
    slowest = 0.0

    async def post(times: int) -> None:
        for _ in range(times):
            async with operator.client.post("/v1/alerts/shop", data=body) as answer:
                statuses.append(answer.status)

    async def watch() -> None:
        nonlocal slowest
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            slowest = max(slowest, time.monotonic() - before)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(post(50) for _ in range(20)))
    watching.cancel()
    assert statuses.count(200) >= 100, "what a sender may send at once"
    assert statuses.count(503) > 500
    assert set(statuses) == {200, 503}
    assert slowest < 1.0
    assert len(operator.store) == 10
