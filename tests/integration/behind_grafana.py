"""What the tests ask of a database that is behind Grafana."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from controller.api.secret import SecretRef
from controller.ports import BrokenMetricError, MetricProvider, NoData, Query, Samples, SourceOutageError, Window
from controller.providers import grafana
from hack.node.influx import InfluxDB
from tests.grafana_server import FLUX_UID, INFLUXQL_UID, ORGANIZATION, PROMETHEUS_UID, TOKEN, GrafanaServer
from tests.integration.influx_server import LOOK

_TYPES = {"promql": "prometheus"}


@dataclass(frozen=True)
class Behind:
    """Databases as Grafana has them: a data source for each language."""

    url: str
    token: str
    uids: dict[str, str]
    org_id: int = 0

    def config(self, language: str) -> grafana.Config:
        return grafana.Config(
            url=self.url,
            data_source=grafana.DataSource(self.uids[language], _TYPES.get(language, "influxdb")),
            bucket=InfluxDB.bucket,
            token_secret=SecretRef("s", "token"),
            org_id=self.org_id,
            timeout_s=10.0,
        )

    @asynccontextmanager
    async def provider(self, language: str, *, token: str = "", **changes: Any) -> AsyncIterator[MetricProvider]:
        config = replace(self.config(language), **changes)
        provider = grafana.create(config, {"token": token or self.token}, None)
        try:
            yield provider
        finally:
            await provider.close()

    async def ask(self, query: Query, window: Window = LOOK, **changes: Any) -> Samples | NoData:
        async with self.provider(query.language, **changes) as provider:
            return await provider.query(query, window)

    async def refused(self, query: Query, **changes: Any) -> BrokenMetricError:
        with pytest.raises(BrokenMetricError) as caught:
            await self.ask(query, **changes)
        return caught.value

    async def outage(self, query: Query, **changes: Any) -> SourceOutageError:
        with pytest.raises(SourceOutageError) as caught:
            await self.ask(query, **changes)
        return caught.value


def of_the_tests(server: GrafanaServer) -> Behind:
    return Behind(
        server.url, TOKEN, {"flux": FLUX_UID, "influxql": INFLUXQL_UID, "promql": PROMETHEUS_UID}, ORGANIZATION
    )
