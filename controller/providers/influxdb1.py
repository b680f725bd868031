"""InfluxDB 1.x as a source of counts, asked in InfluxQL, with a user's name and password."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

from controller.api.fields import Absent, field, record
from controller.api.secret import SecretRef
from controller.api.shapes import Record, Text
from controller.outward.tls import tls
from controller.ports import MetricProvider, NoData, Query, Resolve, Samples, SourceOutageError, Window
from controller.providers._address import ADDRESS, TIMEOUT, TIMEOUT_SAYS, WHOLE_LOGIN
from controller.providers._http import asking
from controller.providers._influxql import InfluxQLClient
from controller.providers._languages import windowed
from controller.providers._rows import samples
from controller.providers._server import REASONS, Server
from controller.providers.influxdb import INFLUXQL

KIND = "influxdb1"
DIALECTS = (INFLUXQL,)
EXAMPLE: dict[str, Any] = {
    "url": "http://influxdb.monitoring:8086",
    "database": "telegraf",
    "retentionPolicy": "autogen",
    "username": "pointsman",
    "passwordSecretRef": {"name": "influxdb-reader", "key": "password"},
    "timeout": "5s",
}

_PASSWORD = "password"  # noqa: S105 - the name of one


@record(
    "An InfluxDB 1.x server, queried in InfluxQL.",
    rules=[WHOLE_LOGIN],
)
class Config:
    in_queries: ClassVar[tuple[str, ...]] = ()

    url: str = field(ADDRESS, "Address, such as http://influxdb.monitoring:8086. Redirects are not followed.")
    database: str = field(Text(253, 1), "Database the queries read.")
    retention_policy: str = field(
        Text(253, 1),
        "Retention policy the queries read. Without it, the default one of the database.",
        default=Absent(""),
        key="retentionPolicy",
    )
    username: str = field(
        Text(253, 1, "^[^:]*$", looks="a user's name without a colon"),
        "User that may read the database. Without it nothing is sent, for servers without authentication.",
        default=Absent(""),
    )
    password_secret: SecretRef | None = field(
        Record(SecretRef),
        "The Secret, in the MetricSource's namespace, that holds that user's password.",
        default=Absent(),
        key="passwordSecretRef",
    )
    timeout_s: float = field(TIMEOUT, TIMEOUT_SAYS, default="5s", key="timeout")

    def secrets(self) -> Mapping[str, SecretRef]:
        return {} if self.password_secret is None else {_PASSWORD: self.password_secret}


class InfluxDB1:
    """A MetricProvider; safe for concurrent use within one event loop."""

    def __init__(self, config: Config, password: str, resolve: Resolve | None = None) -> None:
        self._server = Server(
            url=config.url,
            where=urlsplit(config.url).netloc,
            token=password,
            timeout_s=config.timeout_s,
            tls=tls(),
            resolve=resolve,
            reasons=REASONS,
        )
        policy = {"rp": config.retention_policy} if config.retention_policy else {}
        self._client = InfluxQLClient(
            self._server,
            database={"db": config.database, **policy},
            auth=(config.username, password) if config.username else None,
        )

    async def query(self, query: Query, window: Window) -> Samples | NoData:
        """Raises SourceOutageError, BrokenMetricError; takes no longer than the source's timeout."""
        return samples(await self._records(query, window))

    async def has_rows(self, query: Query, window: Window) -> bool:
        """Raises as `query` does."""
        return bool(await self._records(query, window))

    async def _records(self, query: Query, window: Window) -> list[Mapping[str, object]]:
        async with asking(self._server):
            return await self._client.records(windowed(query, window, INFLUXQL))

    async def close(self) -> None:
        await self._client.close()


def create(config: Config, secrets: Mapping[str, str], resolve: Resolve | None) -> MetricProvider:
    """Raises SourceOutageError for a password that is empty: the Secret is wrong, not the canary."""
    password = secrets.get(_PASSWORD, "").removesuffix("\n")  # `kubectl create secret --from-file` keeps it
    if config.password_secret is not None and not password:
        reference = config.password_secret
        raise SourceOutageError(f"key {reference.key} of Secret {reference.name} is empty")
    return InfluxDB1(config, password, resolve)
