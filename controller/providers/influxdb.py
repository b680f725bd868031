"""InfluxDB 2.x as a source of counts, asked in Flux or in InfluxQL."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

from controller.api.fields import field, record
from controller.api.secret import SecretRef
from controller.api.shapes import Record, Text
from controller.outward.tls import tls
from controller.ports import (
    BrokenMetricError,
    MetricProvider,
    NoData,
    Query,
    Resolve,
    Samples,
    SourceOutageError,
    Window,
)
from controller.providers._address import ADDRESS, TIMEOUT, TIMEOUT_SAYS, sendable
from controller.providers._flux import FluxClient
from controller.providers._http import asking
from controller.providers._influxql import InfluxQLClient
from controller.providers._languages import Dialect, windowed
from controller.providers._rows import samples
from controller.providers._server import Server

KIND = "influxdb"
FLUX = Dialect("flux", quote='"', escapes=(("${", "\\${"),))  # "${x}" is code inside a Flux string
INFLUXQL = Dialect("influxql", quote="'", identifier='"', quoted_moment=True)
DIALECTS = (FLUX, INFLUXQL)

_TOKEN = "token"  # noqa: S105 - the name of one

EXAMPLE: dict[str, Any] = {
    "url": "http://influxdb.monitoring:8086",
    "org": "example",
    "bucket": "metrics",
    "tokenSecretRef": {"name": "influxdb-reader", "key": "token"},
    "timeout": "5s",
}


@record("An InfluxDB 2.x server, queried in Flux or InfluxQL.")
class Config:
    in_queries: ClassVar[tuple[str, ...]] = ("bucket",)
    """Of these fields, names in queries."""

    url: str = field(ADDRESS, "Address, such as http://influxdb.monitoring:8086. Redirects are not followed.")
    org: str = field(Text(253, 1), "Organization the bucket belongs to.")
    bucket: str = field(Text(253, 1), "Bucket the queries read: `bucket` in Flux templates, the database in InfluxQL.")
    token_secret: SecretRef = field(
        Record(SecretRef),
        "The Secret, in the MetricSource's namespace, that holds the token. The token needs to read the bucket and "
        "nothing else.",
        key="tokenSecretRef",
    )
    timeout_s: float = field(TIMEOUT, TIMEOUT_SAYS, default="5s", key="timeout")

    def secrets(self) -> Mapping[str, SecretRef]:
        return {_TOKEN: self.token_secret}


class InfluxDB:
    """A MetricProvider; safe for concurrent use within one event loop."""

    def __init__(self, config: Config, token: str, resolve: Resolve | None = None) -> None:
        server = Server(
            url=config.url,
            where=urlsplit(config.url).netloc,
            token=token,
            timeout_s=config.timeout_s,
            tls=tls(),
            resolve=resolve,
        )
        self._server = server
        self._flux = FluxClient(server, org=config.org)
        self._influxql = InfluxQLClient(
            server, database={"db": config.bucket}, headers={"Authorization": f"Token {token}"}
        )

    async def query(self, query: Query, window: Window) -> Samples | NoData:
        """Raises SourceOutageError, BrokenMetricError; takes no longer than the source's timeout."""
        return samples(await self._records(query, window))

    async def has_rows(self, query: Query, window: Window) -> bool:
        """Raises as `query` does."""
        return bool(await self._records(query, window))

    async def _records(self, query: Query, window: Window) -> list[Mapping[str, object]]:
        client: FluxClient | InfluxQLClient
        match query.language:
            case FLUX.name:
                client, text = self._flux, windowed(query, window, FLUX)
            case INFLUXQL.name:
                client, text = self._influxql, windowed(query, window, INFLUXQL)
            case other:
                spoken = " and ".join(dialect.name for dialect in DIALECTS)
                raise BrokenMetricError(f"InfluxDB supports {spoken}, not {other}")
        async with asking(self._server):
            return await client.records(text)

    async def rows(self, flux: str) -> list[Mapping[str, object]]:
        """What a query answers, whatever its columns are; for boards. Raises as `query` does."""
        async with asking(self._server):
            return await self._flux.records(flux)

    async def close(self) -> None:
        await asyncio.gather(self._flux.close(), self._influxql.close())


def create(config: Config, secrets: Mapping[str, str], resolve: Resolve | None) -> MetricProvider:
    """Raises SourceOutageError for a token that cannot be sent: the Secret is wrong, not the canary."""
    try:
        token = sendable(secrets[_TOKEN])
    except ValueError as error:
        raise SourceOutageError(
            f"key {config.token_secret.key} of Secret {config.token_secret.name} is not a valid InfluxDB token"
        ) from error
    return InfluxDB(config, token, resolve)
