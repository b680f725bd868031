"""The tests' real databases behind Grafana: a real one where GRAFANA_URL is given, else the tests' strict server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from hack.node.prometheus import Prometheus
from tests import real_grafana
from tests.grafana_server import GrafanaServer
from tests.integration.behind_grafana import Behind, of_the_tests
from tests.integration.influx_server import Server


@pytest.fixture
async def behind(running: Server) -> AsyncIterator[Behind]:
    """InfluxDB."""
    if real_grafana.GIVEN:
        async with real_grafana.data_sources(real_grafana.of_influxdb(running.influx)) as uids:
            yield Behind(real_grafana.GIVEN, real_grafana.TOKEN, uids)
    else:
        async with GrafanaServer(running.influx).running() as server:
            yield of_the_tests(server)


@pytest.fixture
async def prometheus_behind(prometheus: Prometheus) -> AsyncIterator[Behind]:
    if real_grafana.GIVEN:
        async with real_grafana.data_sources(real_grafana.of_prometheus(prometheus)) as uids:
            yield Behind(real_grafana.GIVEN, real_grafana.TOKEN, uids)
    else:
        async with GrafanaServer(prometheus=prometheus).running() as server:
            yield of_the_tests(server)
