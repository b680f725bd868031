"""Prometheus as a source of counts: its counters and histograms, of which `_promql.py` takes exact differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlsplit

from controller.api.fields import Absent, Rule, field, record
from controller.api.secret import SecretRef
from controller.api.shapes import Record, Text
from controller.outward.tls import tls, tls_of
from controller.ports import MetricProvider, NoData, Query, Resolve, Samples, SourceOutageError, Window
from controller.providers._address import ADDRESS, TIMEOUT, TIMEOUT_SAYS, WHOLE_LOGIN, sendable
from controller.providers._http import BoundedClient, asking, together
from controller.providers._promql import PROMQL, Answer, Series, counted, lines_of, series_of
from controller.providers._rows import samples
from controller.providers._server import REASONS, Server

KIND = "prometheus"
DIALECTS = (PROMQL,)
EXAMPLE: dict[str, Any] = {
    "url": "http://prometheus.monitoring:9090",
    "tokenSecretRef": {"name": "prometheus-reader", "key": "token"},
    "timeout": "5s",
}

_TOKEN, _PASSWORD, _CERTIFICATES = "token", "password", "certificates"
_PATH = "/api/v1/query"
_ONE_LOGIN = "tokenSecretRef is set beside username: use one of the two"


@record(
    "A Prometheus server, or one with its API such as Thanos or Mimir. Its counters are read in PromQL.",
    rules=[
        Rule(
            _ONE_LOGIN,
            cel="!(has(self.tokenSecretRef) && has(self.username))",
            test=lambda config: config.token_secret is None or not config.username,
            at="tokenSecretRef",
            says="is set beside username: use one of the two",
        ),
        WHOLE_LOGIN,
    ],
)
class Config:
    in_queries: ClassVar[tuple[str, ...]] = ()

    url: str = field(
        ADDRESS,
        "Address, such as http://prometheus.monitoring:9090, with the path before /api/v1 if there is one. Redirects "
        "are not followed.",
    )
    token_secret: SecretRef | None = field(
        Record(SecretRef),
        "The Secret, in the MetricSource's namespace, that holds a bearer token. Without it, and without username, "
        "nothing is sent.",
        default=Absent(),
        key="tokenSecretRef",
    )
    username: str = field(Text(253, 1), "User of basic authentication.", default=Absent(""))
    password_secret: SecretRef | None = field(
        Record(SecretRef), "The Secret that holds that user's password.", default=Absent(), key="passwordSecretRef"
    )
    tenant: str = field(
        Text(150, 1, r"^[A-Za-z0-9!._*'()|-]+$", looks="a tenant's name"),
        "Sent as X-Scope-OrgID, as Mimir and Cortex want it.",
        default=Absent(""),
    )
    ca_secret: SecretRef | None = field(
        Record(SecretRef),
        "The Secret that holds certificates, in PEM, which are believed besides the usual ones.",
        default=Absent(),
        key="caSecretRef",
    )
    timeout_s: float = field(TIMEOUT, TIMEOUT_SAYS, default="5s", key="timeout")

    def secrets(self) -> Mapping[str, SecretRef]:
        named = {_TOKEN: self.token_secret, _PASSWORD: self.password_secret, _CERTIFICATES: self.ca_secret}
        return {name: reference for name, reference in named.items() if reference is not None}


class Prometheus:
    """A MetricProvider; safe for concurrent use within one event loop."""

    def __init__(self, server: Server, client: BoundedClient) -> None:
        self._server = server
        self._client = client

    async def query(self, query: Query, window: Window) -> Samples | NoData:
        """Raises SourceOutageError, BrokenMetricError; takes no longer than the source's timeout."""
        lines = lines_of(query.text)
        expressions = [*(line.before(window) for line in lines), *(line.of_window(window) for line in lines)]
        async with asking(self._server):
            found = await together([self._series(*expression) for expression in expressions])
        halves = zip(lines, found[: len(lines)], found[len(lines) :], strict=True)
        return samples(counted([Answer(*half) for half in halves], window))

    async def has_rows(self, query: Query, window: Window) -> bool:
        """Raises as `query` does."""
        async with asking(self._server):
            for line in lines_of(query.text):
                within = await self._series(*line.of_window(window))
                if Answer(line, (), within).has_samples(window):
                    return True
        return False

    async def close(self) -> None:
        await self._client.close()

    async def _series(self, expression: str, at: float) -> Sequence[Series]:
        data = {"query": expression, "time": f"{at:.3f}", "timeout": f"{self._server.timeout_s * 1000:.0f}ms"}
        body = await self._client.post(_PATH, data=data)
        try:
            return series_of(body)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise self._server.nonsense("JSON") from error


def create(config: Config, secrets: Mapping[str, str], resolve: Resolve | None) -> MetricProvider:
    """Raises SourceOutageError for a Secret that is of no use: it is wrong, and not the canary."""
    references = config.secrets()

    def read(name: str) -> str:
        try:
            return sendable(secrets[name])
        except ValueError as error:
            raise SourceOutageError(f"key {references[name].key} of Secret {references[name].name} {error}") from error

    headers = {"X-Scope-OrgID": config.tenant} if config.tenant else {}
    secret = ""
    auth = None
    if config.token_secret is not None:
        secret = read(_TOKEN)
        headers["Authorization"] = f"Bearer {secret}"
    elif config.password_secret is not None:
        secret = read(_PASSWORD)
        auth = (config.username, secret)
    certificates = tls()
    if config.ca_secret is not None:
        try:
            certificates = tls_of(secrets[_CERTIFICATES])
        except ValueError as error:
            raise SourceOutageError(f"key {config.ca_secret.key} of Secret {config.ca_secret.name} {error}") from error
    server = Server(
        url=config.url,
        where=urlsplit(config.url).netloc,
        token=secret,
        timeout_s=config.timeout_s,
        tls=certificates,
        resolve=resolve,
        system="Prometheus",
        reasons=REASONS,
    )
    return Prometheus(server, BoundedClient(server, headers=headers, auth=auth))
