"""A real Grafana, where GRAFANA_URL is given, with the tests' databases behind it.

    GRAFANA_URL=http://127.0.0.1:3000 GRAFANA_TOKEN=glsa_… hack/test unit integration e2e -- -k test_grafana

The token is of a service account with role Admin: the data sources are made for the tests, and removed.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from hack.node.prometheus import PASSWORD, USER, Prometheus
from tests.panels import Influx

GIVEN = os.environ.get("GRAFANA_URL", "").rstrip("/")
TOKEN = os.environ.get("GRAFANA_TOKEN", "")


def of_influxdb(influx: Influx) -> dict[str, dict[str, Any]]:
    """The settings of a data source for each language."""
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


def of_prometheus(prometheus: Prometheus) -> dict[str, dict[str, Any]]:
    settings = {
        "type": "prometheus",
        "url": prometheus.url,
        "basicAuth": True,
        "basicAuthUser": USER,
        "jsonData": {"httpMethod": "POST", "tlsAuthWithCACert": True},
        "secureJsonData": {"basicAuthPassword": PASSWORD, "tlsCACert": prometheus.certificates},
    }
    return {"promql": settings}


@asynccontextmanager
async def data_sources(settings: Mapping[str, Mapping[str, Any]]) -> AsyncIterator[dict[str, str]]:
    """Their uids, by language, as `settings`."""
    async with httpx.AsyncClient(base_url=GIVEN, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False) as http:
        uids = {}
        try:
            for language, of_one in settings.items():
                common = {"name": f"tests of Pointsman: {language}", "access": "proxy"}
                answer = await http.post("/api/datasources", json={**common, **of_one})
                answer.raise_for_status()
                uids[language] = answer.json()["datasource"]["uid"]
            yield uids
        finally:
            for uid in uids.values():
                await http.delete(f"/api/datasources/uid/{uid}")
