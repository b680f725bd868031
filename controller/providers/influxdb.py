"""InfluxDB 2.x as a source of counts, asked in Flux or in InfluxQL."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar
from urllib.parse import urlsplit

from controller.api.fields import Place, field, record
from controller.api.reading import DURATION_SCHEMA, parse_duration
from controller.api.secret import SecretRef
from controller.api.shapes import Custom, Duration, Record, Text, a_string
from controller.ports import (
    BrokenMetricError,
    MetricProvider,
    NoData,
    Query,
    Resolve,
    Samples,
    SourceOutageError,
    TargetError,
    Window,
)
from controller.providers._flux import FluxClient
from controller.providers._influxql import InfluxQLClient
from controller.providers._languages import Dialect, windowed
from controller.providers._rows import samples
from controller.providers._server import Server

KIND = "influxdb"
FLUX = Dialect("flux", quote='"', escapes=(("${", "\\${"),))  # "${x}" is code inside a Flux string
INFLUXQL = Dialect("influxql", quote="'", identifier='"', quoted_moment=True)
DIALECTS = (FLUX, INFLUXQL)

_MIN_TIMEOUT, _MAX_TIMEOUT = "100ms", "1m"
_MAX_URL = 500
_TOKEN = "token"  # noqa: S105 - the name of one

EXAMPLE: dict[str, Any] = {
    "url": "http://influxdb.monitoring:8086",
    "org": "example",
    "bucket": "metrics",
    "tokenSecretRef": {"name": "influxdb-reader", "key": "token"},
    "timeout": "5s",
}


def _timeout(value: Any, place: Place) -> float:
    seconds = float(Duration().parse(value, place))
    if not parse_duration(_MIN_TIMEOUT, "") <= seconds <= parse_duration(_MAX_TIMEOUT, ""):
        raise place.refuse(f"{value} is not between {_MIN_TIMEOUT} and {_MAX_TIMEOUT}")
    return seconds


def _url(value: Any, place: Place) -> str:
    url = a_string(value, place).rstrip("/")
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        sound = False
    if not sound or len(url) > _MAX_URL or not url.isprintable() or " " in url:
        raise place.refuse("is not an address such as http://influxdb.monitoring:8086")
    if parts.username is not None or parts.query or parts.fragment:
        raise place.refuse("holds more than an address; the token belongs in tokenSecretRef")
    return url


_ADDRESS = Custom({"type": "string", "pattern": r"^https?://[^\s/@?#]+(/[^\s?#@]*)?$", "maxLength": _MAX_URL}, _url)


@record("An InfluxDB 2.x server, queried in Flux or InfluxQL.")
class Config:
    in_queries: ClassVar[tuple[str, ...]] = ("bucket",)
    """Of these fields, names in queries."""

    url: str = field(_ADDRESS, "Address, such as http://influxdb.monitoring:8086. Redirects are not followed.")
    org: str = field(Text(253, 1), "Organization the bucket belongs to.")
    bucket: str = field(Text(253, 1), "Bucket the queries read: `bucket` in Flux templates, the database in InfluxQL.")
    token_secret: SecretRef = field(
        Record(SecretRef),
        "The Secret, in the MetricSource's namespace, that holds the token. The token needs to read the bucket and "
        "nothing else.",
        key="tokenSecretRef",
    )
    timeout_s: float = field(
        Custom(DURATION_SCHEMA, _timeout),
        "The longest one query may take, from connecting to the last byte: 100ms to 1m.",
        default="5s",
        key="timeout",
    )

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
            tls=_tls(),
            resolve=resolve,
        )
        self._server = server
        self._flux = FluxClient(server, org=config.org)
        self._influxql = InfluxQLClient(server, bucket=config.bucket)

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
        try:
            async with asyncio.timeout(self._server.timeout_s):
                return await client.records(text)
        except TargetError as error:
            raise SourceOutageError(f"InfluxDB at {self._server.where} is not asked: {error}") from error
        except TimeoutError as error:
            raise SourceOutageError(
                f"InfluxDB at {self._server.where} did not answer within {self._server.timeout_s:g} s"
            ) from error

    async def close(self) -> None:
        await asyncio.gather(self._flux.close(), self._influxql.close())


def create(config: Config, secrets: Mapping[str, str], resolve: Resolve | None) -> MetricProvider:
    """Raises SourceOutageError for a token that cannot be sent: the Secret is wrong, not the canary."""
    token = secrets[_TOKEN].strip()  # `kubectl create secret --from-file` keeps the file's last newline
    if not token or not token.isascii() or not token.isprintable():
        raise SourceOutageError(
            f"key {config.token_secret.key} of Secret {config.token_secret.name} is not a valid InfluxDB token"
        )
    return InfluxDB(config, token, resolve)


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
