"""What the tests do to a real InfluxDB 2.7, and what they ask it."""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from controller.api.metrics import START_TOKEN, STOP_TOKEN
from controller.api.secret import SecretRef
from controller.ports import (
    BrokenMetricError,
    MetricProvider,
    NoData,
    Query,
    Samples,
    SourceOutageError,
    Window,
)
from controller.providers import influxdb
from hack.node import process
from hack.node.influx import InfluxDB
from tests.frozen import frozen

LANGUAGES = ("flux", "influxql")
STABLE, CANARY = "aaaaaaaaaa", "bbbbbbbbbb"
T0 = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)
LOOK = Window(T0, T0 + timedelta(seconds=5))


class Server:
    """A real InfluxDB and what the tests do to it."""

    def __init__(self, influx: InfluxDB) -> None:
        self.influx = influx
        self.config = influxdb.Config(
            url=influx.url,
            org=influx.org,
            bucket=influx.bucket,
            token_secret=SecretRef("s", "token"),
            timeout_s=5.0,
        )

    @property
    def where(self) -> str:
        return self.influx.url.removeprefix("http://")

    def frozen(self) -> AbstractContextManager[None]:
        """It holds its port and its connections, and does nothing."""
        identity = process.running(process.record(self.influx.directory, "influxd"))
        assert identity is not None
        return frozen(identity.pid)

    def write(self, *lines: str, at: datetime = T0 + timedelta(seconds=1), bucket: str = "") -> None:
        body = "\n".join(f"{line} {nanoseconds(at)}" for line in lines)
        answer = httpx.post(
            f"{self.influx.url}/api/v2/write",
            params={"org": self.influx.org, "bucket": bucket or self.influx.bucket, "precision": "ns"},
            headers={"Authorization": f"Token {self.influx.token}"},
            content=body,
            trust_env=False,
        )
        assert answer.status_code == httpx.codes.NO_CONTENT, answer.text

    def keep_for(self, seconds: int, bucket: str) -> None:
        """Makes a bucket with such a retention."""
        with httpx.Client(
            base_url=self.influx.url, headers={"Authorization": f"Token {self.influx.token}"}, trust_env=False
        ) as client:
            (org,) = client.get("/api/v2/orgs", params={"org": self.influx.org}).raise_for_status().json()["orgs"]
            rules = [{"type": "expire", "everySeconds": seconds, "shardGroupDurationSeconds": seconds}]
            made = {"orgID": org["id"], "name": bucket, "retentionRules": rules}
            client.post("/api/v2/buckets", json=made).raise_for_status()

    def delete(self, measurement: str) -> None:
        """All that was written of it."""
        answer = httpx.post(
            f"{self.influx.url}/api/v2/delete",
            params={"org": self.influx.org, "bucket": self.influx.bucket},
            headers={"Authorization": f"Token {self.influx.token}"},
            json={
                "start": "1970-01-01T00:00:00Z",
                "stop": "2100-01-01T00:00:00Z",
                "predicate": f'_measurement="{measurement}"',
            },
            trust_env=False,
        )
        assert answer.status_code == httpx.codes.NO_CONTENT, answer.text

    @asynccontextmanager
    async def provider(self, *, token: str = "", **changes: Any) -> AsyncIterator[MetricProvider]:
        provider = influxdb.create(replace(self.config, **changes), {"token": token or self.influx.token}, None)
        try:
            yield provider
        finally:
            await provider.close()

    async def ask(self, query: Query, window: Window = LOOK, *, token: str = "", **changes: Any) -> Samples | NoData:
        async with self.provider(token=token, **changes) as provider:
            return await provider.query(query, window)

    async def refused(self, query: Query, **changes: Any) -> str:
        with pytest.raises(BrokenMetricError) as caught:
            await self.ask(query, **changes)
        return self._sentence(caught.value)

    async def outage(self, query: Query, *, token: str = "", **changes: Any) -> str:
        with pytest.raises(SourceOutageError) as caught:
            await self.ask(query, token=token, **changes)
        return self._sentence(caught.value, token)

    def _sentence(self, error: Exception, token: str = "") -> str:
        assert (token or self.influx.token) not in "".join(traceback.format_exception(error))
        assert "\n" not in str(error)
        return str(error)


def nanoseconds(moment: datetime) -> int:
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)) * 1000


def counts(measurement: str, language: str) -> Query:
    """Sums of the fields bad and total per revision."""
    if language == "influxql":
        select = 'SELECT sum("bad") AS "bad", sum("total") AS "total"'
        where = f"WHERE time >= {START_TOKEN} AND time < {STOP_TOKEN}"
        return Query(language, f'{select} FROM "{measurement}" {where} GROUP BY "revision"')
    return Query(
        language,
        f'from(bucket: "{InfluxDB.bucket}") |> range(start: {START_TOKEN}, stop: {STOP_TOKEN}) '
        f'|> filter(fn: (r) => r._measurement == "{measurement}") |> group(columns: ["revision", "_field"]) |> sum() '
        '|> pivot(rowKey: ["revision"], columnKey: ["_field"], valueColumn: "_value")',
    )


def by_revision(result: Samples | NoData) -> dict[str, tuple[int, int]]:
    """Both halves of a revision together."""
    assert isinstance(result, Samples)
    found: dict[str, tuple[int, int]] = {}
    for row in result.rows:
        bad, total = found.get(row.revision, (0, 0))
        found[row.revision] = bad + row.bad, total + row.total
    return found
