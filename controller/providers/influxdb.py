"""InfluxDB 2.x as a source of counts, asked in Flux or in InfluxQL."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from controller.api.reading import DURATION_SCHEMA, Reader, SpecError
from controller.ports import BrokenMetricError, MetricProvider, NoData, Query, Samples, SourceOutageError, Window
from controller.providers._flux import FluxClient
from controller.providers._influxql import InfluxQLClient
from controller.providers._rows import samples
from controller.providers._server import Server
from controller.providers._window import windowed

KIND = "influxdb"
LANGUAGES = ("flux", "influxql")

DEFAULT_TIMEOUT_S = 5.0
MIN_TIMEOUT_S = 0.1
MAX_TIMEOUT_S = 60.0
_MAX_URL = 500
_MAX_NAME = 253

SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "An InfluxDB 2.x server, asked in Flux or, for queries in the language of 1.x, InfluxQL.",
    "required": ["url", "org", "bucket", "tokenSecretRef"],
    "properties": {
        "url": {
            "type": "string",
            "description": "Address, such as http://influxdb.monitoring:8086. Redirects are not followed.",
            "pattern": r"^https?://[^\s/@?#]+(/[^\s?#@]*)?$",
            "maxLength": _MAX_URL,
        },
        "org": {
            "type": "string",
            "description": "Organization the bucket belongs to.",
            "minLength": 1,
            "maxLength": _MAX_NAME,
        },
        "bucket": {
            "type": "string",
            "description": "Bucket the queries read: `bucket` in Flux templates, the database in InfluxQL.",
            "minLength": 1,
            "maxLength": _MAX_NAME,
        },
        "tokenSecretRef": {
            "type": "object",
            "description": "The Secret, in the MetricSource's namespace, that holds the token. "
            "The token needs to read the bucket and nothing else.",
            "required": ["name"],
            "properties": {
                "name": {
                    "type": "string",
                    "description": "Name of the Secret.",
                    "pattern": r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
                    "minLength": 1,
                    "maxLength": _MAX_NAME,
                },
                "key": {
                    "type": "string",
                    "description": "Key in the Secret's data.",
                    "pattern": r"^[-._a-zA-Z0-9]+$",
                    "default": "token",
                    "minLength": 1,
                    "maxLength": _MAX_NAME,
                },
            },
        },
        "timeout": {
            **DURATION_SCHEMA,
            "description": "The longest one query may take, from connecting to the last byte: 100ms to 1m.",
            "default": "5s",
        },
    },
}

EXAMPLE: dict[str, Any] = {
    "url": "http://influxdb.monitoring:8086",
    "org": "example",
    "bucket": "metrics",
    "tokenSecretRef": {"name": "influxdb-reader", "key": "token"},
    "timeout": "5s",
}


@dataclass(frozen=True)
class SecretRef:
    name: str
    key: str


@dataclass(frozen=True)
class Config:
    url: str
    org: str
    bucket: str
    token_secret: SecretRef
    timeout_s: float = DEFAULT_TIMEOUT_S

    @classmethod
    def parse(cls, reader: Reader) -> Config:
        """Raises SpecError."""
        reader.only("url", "org", "bucket", "tokenSecretRef", "timeout")
        secret = reader.child("tokenSecretRef").only("name", "key")
        timeout_s = reader.seconds("timeout", DEFAULT_TIMEOUT_S)
        if not MIN_TIMEOUT_S <= timeout_s <= MAX_TIMEOUT_S:
            raise SpecError(reader.at("timeout"), f"{reader.raw['timeout']} is not between 100ms and 1m")
        return cls(
            url=_url(reader),
            org=reader.text("org"),
            bucket=reader.text("bucket"),
            token_secret=SecretRef(secret.text("name"), secret.text("key", "token")),
            timeout_s=timeout_s,
        )


class InfluxDB:
    """A MetricProvider; safe for concurrent use within one event loop."""

    def __init__(self, config: Config, token: str) -> None:
        server = Server(
            url=config.url, where=urlsplit(config.url).netloc, token=token, timeout_s=config.timeout_s, tls=_tls()
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
        text = windowed(query, window)
        client: FluxClient | InfluxQLClient
        match query.language:
            case "flux":
                client = self._flux
            case "influxql":
                client = self._influxql
            case other:
                raise BrokenMetricError(f"InfluxDB speaks {' and '.join(LANGUAGES)}, not {other}")
        try:
            async with asyncio.timeout(self._server.timeout_s):
                return await client.records(text)
        except TimeoutError as error:
            raise SourceOutageError(
                f"InfluxDB at {self._server.where} did not answer within {self._server.timeout_s:g} s"
            ) from error

    async def close(self) -> None:
        await asyncio.gather(self._flux.close(), self._influxql.close())


def create(config: Config, token: str) -> MetricProvider:
    """Raises SourceOutageError for a token that cannot be sent: the Secret is wrong, not the canary."""
    token = token.strip()  # `kubectl create secret --from-file` keeps the file's last newline
    if not token or not token.isascii() or not token.isprintable():
        raise SourceOutageError(
            f"key {config.token_secret.key} of Secret {config.token_secret.name} holds no token InfluxDB could take"
        )
    return InfluxDB(config, token)


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _url(reader: Reader) -> str:
    url = reader.text("url").rstrip("/")
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        sound = False
    if not sound or len(url) > _MAX_URL or not url.isprintable() or " " in url:
        raise SpecError(reader.at("url"), "is not an address such as http://influxdb.monitoring:8086")
    if parts.username is not None or parts.query or parts.fragment:
        raise SpecError(reader.at("url"), "holds more than an address; the token belongs into tokenSecretRef")
    return url
