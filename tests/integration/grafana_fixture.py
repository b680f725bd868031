"""The tests' real databases behind Grafana: a real one where GRAFANA_URL is given, else the tests' strict server.

    GRAFANA_URL=http://127.0.0.1:3000 GRAFANA_TOKEN=glsa_… hack/test integration -- -k test_grafana

The token is of a service account with role Admin: the data sources are made for the tests, and removed.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from hack.node.influx import InfluxDB
from hack.node.prometheus import PASSWORD, USER, Prometheus
from tests.grafana_server import GrafanaServer
from tests.integration.behind_grafana import Behind, of_the_tests
from tests.integration.influx_server import Server

GIVEN = os.environ.get("GRAFANA_URL", "").rstrip("/")


@pytest.fixture
async def behind(running: Server) -> AsyncIterator[Behind]:
    """InfluxDB."""
    if GIVEN:
        async with _real(_of_influxdb(running.influx)) as found:
            yield found
    else:
        async with GrafanaServer(running.influx).running() as server:
            yield of_the_tests(server)


@pytest.fixture
async def prometheus_behind(prometheus: Prometheus) -> AsyncIterator[Behind]:
    if GIVEN:
        async with _real({"promql": _of_prometheus(prometheus)}) as found:
            yield found
    else:
        async with GrafanaServer(prometheus=prometheus).running() as server:
            yield of_the_tests(server)


def _of_influxdb(influx: InfluxDB) -> dict[str, dict[str, Any]]:
    of_flux = {
        "jsonData": {"version": "Flux", "organization": influx.org, "defaultBucket": influx.bucket},
        "secureJsonData": {"token": influx.token},
    }
    of_influxql = {
        "jsonData": {"dbName": influx.bucket, "httpMode": "POST", "httpHeaderName1": "Authorization"},
        "secureJsonData": {"httpHeaderValue1": f"Token {influx.token}"},
    }
    common = {"type": "influxdb", "url": influx.url}
    return {"flux": {**common, **of_flux}, "influxql": {**common, **of_influxql}}


def _of_prometheus(prometheus: Prometheus) -> dict[str, Any]:
    return {
        "type": "prometheus",
        "url": prometheus.url,
        "basicAuth": True,
        "basicAuthUser": USER,
        "jsonData": {"httpMethod": "POST", "tlsAuthWithCACert": True},
        "secureJsonData": {"basicAuthPassword": PASSWORD, "tlsCACert": prometheus.certificates},
    }


@asynccontextmanager
async def _real(sources: dict[str, dict[str, Any]]) -> AsyncIterator[Behind]:
    """`sources`: their settings, by language."""
    token = os.environ["GRAFANA_TOKEN"]
    async with httpx.AsyncClient(base_url=GIVEN, headers={"Authorization": f"Bearer {token}"}, trust_env=False) as http:
        uids = {}
        try:
            for language, settings in sources.items():
                common = {"name": f"tests of Pointsman: {language}", "access": "proxy"}
                answer = await http.post("/api/datasources", json={**common, **settings})
                answer.raise_for_status()
                uids[language] = answer.json()["datasource"]["uid"]
            yield Behind(GIVEN, token, uids)
        finally:
            for uid in uids.values():
                await http.delete(f"/api/datasources/uid/{uid}")
