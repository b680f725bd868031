"""Grafana as a source of counts: its data sources, queried through `POST /api/ds/query` in their own languages.

The text of a query goes through as it is, so that the counts are those that the data source itself would give. Grafana
replaces its macros wherever they stand in a text, in the value of a parameter too: a query that holds one is refused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlsplit

import httpx

from controller.api.alerts import FiringAlert
from controller.api.fields import Absent, Rule, field, record
from controller.api.secret import SecretRef
from controller.api.shapes import Duration, Integer, Record, Text, Word
from controller.api.urls import HTTP_URL
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
from controller.providers import _alerts
from controller.providers._address import sendable
from controller.providers._frames import FrameShapeError
from controller.providers._grafana_models import ASKING, Found, Questions, questions
from controller.providers._http import BoundedClient, asking
from controller.providers._promql import PROMQL
from controller.providers._rows import MAX_ROWS, samples
from controller.providers._server import Server, message_of
from controller.providers.influxdb import FLUX, INFLUXQL

KIND = "grafana"
DIALECTS = (FLUX, INFLUXQL, PROMQL)
ALERTS = True
"""Its `create` gives an AlertSource, too."""
EXAMPLE: dict[str, Any] = {
    "url": "http://grafana.monitoring:3000",
    "datasource": {"uid": "P951FEA4DE68E13C5", "type": "influxdb"},
    "bucket": "metrics",
    "tokenSecretRef": {"name": "grafana-reader", "key": "token"},
    "orgId": 1,
    "timeout": "5s",
}
EXAMPLES = {PROMQL.name: {**EXAMPLE, "datasource": {"uid": "PBFA97CFB590B2093", "type": "prometheus"}}}
"""For languages that the example's data source is not asked in."""

_TOKEN = "token"  # noqa: S105 - the name of one
_JSON = "application/json"
_ANSWERS = frozenset((200, 207, 400))
"""Statuses with the queries' results, those that failed among them. Which one it is depends on Grafana's version."""
_REASONS = {
    401: "refuses the token (401)",
    403: "does not let the token query the data source (403)",
    429: "is overloaded (429)",
}


@record("A data source of Grafana.")
class DataSource:
    uid: str = field(Text(100, 1, "^[A-Za-z0-9_-]+$", looks="a data source's uid"), "As in the address of its page.")
    type: str = field(
        Word(tuple(ASKING)),
        "What it is: influxdb, for templates in Flux or InfluxQL, whichever the data source is set to; prometheus, for "
        "templates in PromQL.",
        default="influxdb",
    )


@record("A data source of a Grafana server, queried through Grafana's API.")
class Config:
    in_queries: ClassVar[tuple[str, ...]] = ("bucket",)

    url: str = field(
        HTTP_URL,
        "URL of Grafana, with the path that it is served under. Redirects are not followed.",
        rules=[
            Rule("has a query; leave it out", cel="!self.contains('?')", test=lambda url: "?" not in url),
        ],
    )
    data_source: DataSource = field(Record(DataSource), "What the queries go to.", key="datasource")
    token_secret: SecretRef = field(
        Record(SecretRef),
        "The Secret, in the MetricSource's namespace, that holds the token of a service account of Grafana. It "
        "needs to query this data source (role Viewer, or datasources:query) and nothing else.",
        key="tokenSecretRef",
    )
    bucket: str = field(
        Text(253),
        "Bucket that templates in Flux read: `bucket` in their text. InfluxQL reads the data source's own.",
        default="",
    )
    org_id: int = field(
        Integer(1), "Organization that the data source belongs to. Default: that of the token.", default=Absent(0)
    )
    timeout_s: float = field(
        Duration("100ms", "1m"),
        "The longest one query may take, from connecting to the last byte: 100ms to 1m.",
        default="5s",
        key="timeout",
    )

    def secrets(self) -> Mapping[str, SecretRef]:
        return {_TOKEN: self.token_secret}


class Grafana:
    """A MetricProvider; safe for concurrent use within one event loop."""

    def __init__(
        self,
        config: Config,
        token: str,
        resolve: Resolve | None = None,
        connections: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`connections`: as `BoundedClient` takes them."""
        self._config = config
        missing = f"has no data source {config.data_source.uid} (404)"
        self._server = Server(
            url=config.url,
            where=urlsplit(config.url).netloc,
            token=token,
            timeout_s=config.timeout_s,
            tls=tls(),
            resolve=resolve,
            system="Grafana",
            reasons={**_REASONS, httpx.codes.NOT_FOUND: missing},
        )
        organization = {"X-Grafana-Org-Id": str(config.org_id)} if config.org_id else {}
        headers = {"Authorization": f"Bearer {token}", "Content-Type": _JSON, "Accept": _JSON, **organization}
        self._client = BoundedClient(self._server, headers=headers, answers=_ANSWERS, connections=connections)

    async def query(self, query: Query, window: Window) -> Samples | NoData:
        """Raises SourceOutageError, BrokenMetricError; takes no longer than the source's timeout."""
        return samples((await self._found(query, window)).counts())

    async def has_rows(self, query: Query, window: Window) -> bool:
        """Raises as `query` does."""
        return (await self._found(query, window)).rows()

    async def close(self) -> None:
        await self._client.close()

    async def _found(self, query: Query, window: Window) -> Found:
        wanted = questions(self._config.data_source.type, query, window)
        sent = self._request(wanted, window)
        async with asking(self._server):
            status, body = await self._client.exchange("POST", "/api/ds/query", content=sent)
        if status not in _ANSWERS:
            raise self._refusal(status, body)
        try:
            return wanted.read(body)
        except FrameShapeError as error:
            if status == httpx.codes.BAD_REQUEST:  # of the request as a whole
                raise self._refusal(status, body) from error
            raise FrameShapeError(f"{self._server.where} {error}") from error
        except (SourceOutageError, BrokenMetricError) as error:
            said = self._server.shortened(str(error))
            raise type(error)(f"Grafana at {self._server.where} {said}") from error

    async def firing(self, labels: Mapping[str, str]) -> Sequence[FiringAlert]:
        """Of Grafana's own alert rules, as its Alertmanager lists them. Raises as `query` does."""
        async with asking(self._server):
            status, body = await self._client.exchange("GET", _alerts.PATH, params=_alerts.parameters(labels))
        if status != httpx.codes.OK:
            raise self._refusal(status, body)
        try:
            return _alerts.firing(body, labels)
        except (SourceOutageError, BrokenMetricError) as error:
            raise type(error)(f"Grafana at {self._server.where} {error}") from error

    def _request(self, wanted: Questions, window: Window) -> bytes:
        return json.dumps(
            {
                # both are in the text, too, to the microsecond
                "from": str(math.floor(window.start.timestamp() * 1000)),
                "to": str(math.ceil(window.end.timestamp() * 1000)),
                "queries": [
                    {
                        "refId": ref,
                        "datasource": {"uid": self._config.data_source.uid, "type": self._config.data_source.type},
                        "intervalMs": 1000,
                        "maxDataPoints": MAX_ROWS,
                        **model,
                    }
                    for ref, model in wanted.models.items()
                ],
            }
        ).encode()

    def _refusal(self, status: int, body: bytes) -> SourceOutageError:
        """Of the request, which says nothing about the query."""
        return self._server.refused(status, message_of(body, "message"))


def create(config: Config, secrets: Mapping[str, str], resolve: Resolve | None) -> MetricProvider:
    """Raises SourceOutageError for a token that cannot be sent: the Secret is wrong, not the canary."""
    try:
        token = sendable(secrets[_TOKEN])
    except ValueError as error:
        reference = config.token_secret
        raise SourceOutageError(
            f"key {reference.key} of Secret {reference.name} is not a valid Grafana token"
        ) from error
    return Grafana(config, token, resolve)
