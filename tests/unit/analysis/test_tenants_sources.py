"""Where the operator goes for a tenant's MetricSource, and where for one beside itself."""

import base64
import ipaddress
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from controller.analysis import sources as sources_module
from controller.analysis.sources import Sources
from controller.api.analysis import Metric
from controller.api.resources import METRIC_SOURCES, METRIC_TEMPLATES, SECRETS
from controller.kube.client import KubeClient
from controller.kube.objects import Key
from controller.outward.addresses import Addresses, Network
from controller.ports import SourceOutageError, Window
from tests.unit.contract.fakes import http_server, say

OWN, TENANT = "pointsman-system", "shop"
WEB = Key(TENANT, "web")
METRIC = Metric(name="errors", path="spec.analysis.metrics[0]", template="errors", parameters={}, margin=None)
NOW = datetime(2026, 5, 1, tzinfo=UTC)
QUERY = 'SELECT 1 AS "bad", 2 AS "total" FROM x WHERE time >= {{ start }} AND time < {{ stop }}'


class Cluster:
    """With a source, its Secret and a template in one namespace."""

    def __init__(self, home: str, url: str) -> None:
        self._home = home
        influxdb = {"url": url, "org": "o", "bucket": "b", "tokenSecretRef": {"name": "reader", "key": "token"}}
        self._objects: dict[Any, dict[str, Any]] = {
            METRIC_TEMPLATES: {"spec": {"language": "influxql", "query": QUERY}},
            METRIC_SOURCES: {"spec": {"influxdb": {**influxdb, "timeout": "20s"}, "allowedNamespaces": ["*"]}},
            SECRETS: {"data": {"token": base64.b64encode(b"t").decode()}},
        }

    async def find(self, resource: Any, namespace: str, _: str) -> dict[str, Any] | None:
        return self._objects[resource] if namespace == self._home else None


async def api_server() -> frozenset[Any]:
    return frozenset({ipaddress.ip_address("10.96.0.1")})


async def said(home: str, url: str, listed: tuple[Network, ...] = ()) -> str:
    resolve = Addresses(api_server, listed=listed, inside=False).resolve
    kube = cast("KubeClient", Cluster(home, url))
    sources = Sources(kube, cluster="c", own_namespace=OWN, resolve=resolve)
    try:
        (question,) = await sources.questions(WEB, (METRIC,), stable="aaaaaaaaaa", canary="bbbbbbbbbb")
        with pytest.raises(SourceOutageError) as error:
            await question.provider.query(question.query, Window(NOW - timedelta(seconds=10), NOW))
    finally:
        await sources.close()
    return str(error.value)


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("169.254.169.254", "a link-local address"),
        ("127.0.0.1", "a loopback address"),
        ("0x7f000001", "a loopback address"),
        ("2130706433", "a loopback address"),
        ("[::1]", "a loopback address"),
        ("localhost", "a loopback address"),
        ("10.96.0.1", "the API server"),
        ("10.20.0.5", "which the internet does not route"),
        ("100.64.0.1", "which the internet does not route"),
        ("[fd12::1]", "which the internet does not route"),
        ("[64:ff9b::a14:5]", "which the internet does not route"),
    ],
)
async def test_a_tenants_source_is_not_asked_inside_the_cluster(host, why):
    message = await said(TENANT, f"http://{host}:8086")
    assert message.startswith(f"InfluxDB at {host}:8086 is not asked: ")
    assert why in message


async def test_a_tenants_source_is_asked_in_a_listed_network():
    async with http_server(say("503 Service Unavailable", b"")) as url:
        message = await said(TENANT, url, (ipaddress.ip_network("127.0.0.0/8"),))
    assert "answered 503" in message


@pytest.mark.parametrize(
    ("host", "why"), [("10.96.0.1", "the API server"), ("169.254.169.254", "a link-local address")]
)
async def test_a_listed_network_does_not_open_what_lies_in_it_for_nobody(host, why):
    everything = (ipaddress.ip_network("0.0.0.0/0"),)
    assert why in await said(TENANT, f"http://{host}:8086", everything)


async def test_a_source_beside_the_operator_is_asked_wherever_it_is():
    async with http_server(say("503 Service Unavailable", b"")) as url:
        assert "answered 503" in await said(OWN, url)


async def test_connections_to_a_source_that_nobody_asks_any_more_are_closed(monkeypatch):
    """Each name that a source ever had kept a client with its connections."""
    at = [0.0]
    monkeypatch.setattr(sources_module, "time", SimpleNamespace(monotonic=lambda: at[0]))
    sources = Sources(cast("KubeClient", Cluster(OWN, "http://influxdb:8086")), cluster="c", own_namespace=OWN)
    asked = {"stable": "aaaaaaaaaa", "canary": "bbbbbbbbbb"}
    (question,) = await sources.questions(WEB, (METRIC,), **asked)
    closed: list[str] = []

    async def close() -> None:
        closed.append("closed")

    question.provider.close = close  # type: ignore[method-assign]
    for at[0] in (60.0, 500.0, 1000.0):
        await sources.questions(WEB, (METRIC,), **asked)
        await sources.tidy()
    assert not closed
    at[0] = 1600.0
    await sources.tidy()
    assert closed == ["closed"]
    await sources.close()
