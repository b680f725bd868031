"""CloudWatch as a source of counts: sums of metrics that count, a line for each column and revision.

    total of {{ canary }}: "Shop/Web" "Requests" Service={{ service }} Revision={{ canary }}
    bad of {{ canary }}: "Shop/Web" "Errors" Service={{ service }} Revision={{ canary }}

CloudWatch has sums of whole periods and nothing finer. One belongs to the window in which it ends: so windows that
touch count each once. A minute is complete some minutes after its end; templates wait for that with `cohort`.

It is asked in its JSON protocol over our own HTTP, and not by boto3, whose connections cannot be kept from addresses
that a tenant must not reach; botocore finds the credentials and signs.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit

import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError

from controller.api.fields import Absent, Place, Rule, field, record
from controller.api.secret import SecretRef
from controller.api.shapes import Duration, Record, Text
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
from controller.providers._http import BoundedClient, asking
from controller.providers._languages import Dialect
from controller.providers._promql import COLUMNS, MOST_LINES, edges, records_of
from controller.providers._rows import samples
from controller.providers._server import Server

KIND = "cloudwatch"
CLOUDWATCH = Dialect("cloudwatch", quote='"', identifier='"', tokens=(), window_required=False)
DIALECTS = (CLOUDWATCH,)
EXAMPLE: dict[str, Any] = {
    "region": "eu-central-1",
    "accessKeyId": "AKIAIOSFODNN7EXAMPLE",
    "secretAccessKeySecretRef": {"name": "cloudwatch-reader", "key": "secretAccessKey"},
    "period": "1m",
    "timeout": "5s",
}

_KEY = "key"
_TARGET = "GraniteServiceVersion20100801.GetMetricData"
_TYPE = "application/x-amz-json-1.0"
_FINE = (1, 5, 10, 20, 30)
_MINUTE = 60
_MOST_PAGES = 5
_WHOLE_LOGIN = "accessKeyId and secretAccessKeySecretRef go together: set both or neither"
_OF_THE_QUERY = re.compile(r"^(Validation|InvalidParameter|MissingParameter|MissingRequiredParameter|InvalidFormat)")
_OVERLOADED = re.compile(r"^(Throttl|TooManyRequests|RequestLimitExceeded|LimitExceeded)")
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_HEAD = re.compile(r'(?P<column>total|bad|good) of "?(?P<revision>[a-z2-7]{10})"? ?: *(?P<rest>.*)')
_METRIC = re.compile(
    rf"(?P<namespace>{_QUOTED}) +(?P<name>{_QUOTED})(?P<dimensions>(?: +(?:[\w.:/-]+|{_QUOTED})={_QUOTED})*) *"
)
_DIMENSION = re.compile(rf"(?P<name>[\w.:/-]+|{_QUOTED})=(?P<value>{_QUOTED})")


def _period(seconds: float) -> int:
    return int(seconds)


def _is_a_period(config: Config, place: Place) -> None:
    if config.period not in _FINE and config.period % _MINUTE:
        fine = ", ".join(f"{one}s" for one in _FINE)
        raise place.at("period").refuse(f"{config.period}s is neither {fine} nor whole minutes")


@record(
    "Amazon CloudWatch in one region. Sums of its metrics are read.",
    rules=[
        Rule(
            _WHOLE_LOGIN,
            cel="has(self.accessKeyId) == has(self.secretAccessKeySecretRef)",
            test=lambda config: bool(config.access_key_id) == (config.secret_key is not None),
            at="accessKeyId",
            says="and secretAccessKeySecretRef go together: set both or neither",
        )
    ],
    checks=[_is_a_period],
)
class Config:
    in_queries: ClassVar[tuple[str, ...]] = ()

    region: str = field(Text(40, 1, "^[a-z0-9-]+$", looks="a region such as eu-central-1"), "Region of the metrics.")
    url: str = field(
        ADDRESS,
        "Endpoint, where it is not the region's own, as in a VPC. Redirects are not followed.",
        default=Absent(""),
    )
    access_key_id: str = field(
        Text(128, 16, r"^\w+$", looks="an access key's id"),
        "Access key that may call cloudwatch:GetMetricData. Without it the operator's own credentials are used, which "
        "only a MetricSource in its namespace may do.",
        default=Absent(""),
        key="accessKeyId",
    )
    secret_key: SecretRef | None = field(
        Record(SecretRef),
        "The Secret, in the MetricSource's namespace, that holds the secret access key.",
        default=Absent(),
        key="secretAccessKeySecretRef",
    )
    period: int = field(
        Duration("1s", "1h"),
        "Period of the sums: 1m, or 1s, 5s, 10s, 20s or 30s for metrics of high resolution.",
        default="1m",
        convert=_period,
    )
    timeout_s: float = field(TIMEOUT, TIMEOUT_SAYS, default="5s", key="timeout")

    def secrets(self) -> Mapping[str, SecretRef]:
        return {} if self.secret_key is None else {_KEY: self.secret_key}


@dataclass(frozen=True)
class Line:
    """One metric, and where its sums go."""

    column: str
    revision: str
    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]

    def query(self, name: str, period: int) -> dict[str, Any]:
        dimensions = [{"Name": key, "Value": value} for key, value in self.dimensions]
        metric = {"Namespace": self.namespace, "MetricName": self.name, "Dimensions": dimensions}
        return {"Id": name, "MetricStat": {"Metric": metric, "Period": period, "Stat": "Sum"}}


def lines_of(text: str) -> tuple[Line, ...]:
    """Raises BrokenMetricError. A line without a column, of a heartbeat, belongs to no revision."""
    found: dict[Line, None] = {}
    # not splitlines(), which ends one at a U+2028 of a value, too
    stripped = (line.strip() for line in text.split("\n"))
    written = [line for line in stripped if line and not line.startswith("#")]
    for number, line in enumerate(written, start=1):
        head = _HEAD.fullmatch(line)
        metric = _METRIC.fullmatch(line if head is None else head["rest"])
        if metric is None:
            example = 'total of {{ canary }}: "Namespace" "Metric" Name={{ service }}'
            raise BrokenMetricError(f"line {number} of the query is not of the form {example}")
        dimensions = tuple(
            (_text(one["name"]), _text(one["value"])) for one in _DIMENSION.finditer(metric["dimensions"])
        )
        column, revision = ("", "") if head is None else (head["column"], head["revision"])
        found[Line(column, revision, _text(metric["namespace"]), _text(metric["name"]), dimensions)] = None
    if not 0 < len(found) <= MOST_LINES:
        raise BrokenMetricError(f"the query has {len(found)} metrics; it must have 1 to {MOST_LINES}")
    return tuple(found)


def _text(written: str) -> str:
    if not written.startswith('"'):
        return written
    try:
        return str(json.loads(written))
    except ValueError as error:
        raise BrokenMetricError(f"{written[:60]} is not a text in quotes") from error


class CloudWatch:
    """A MetricProvider; safe for concurrent use within one event loop."""

    def __init__(self, config: Config, credentials: Credentials | None, server: Server) -> None:
        """`credentials`: None: the operator's own, which are looked for when they are needed first."""
        self._config = config
        self._credentials = credentials
        self._looking = asyncio.Lock()
        self._server = server
        self._client = BoundedClient(server, refusal=self._refusal)

    async def query(self, query: Query, window: Window) -> Samples | NoData:
        """Raises SourceOutageError, BrokenMetricError; takes no longer than the source's timeout."""
        lines = await self._sums(query, window)
        columns = {line.column for line in lines}
        if columns not in ({"total", "bad"}, {"total", "good"}):
            raise BrokenMetricError("each line of the query needs a column: total, and bad or good")
        sums: dict[str, dict[tuple[str, str], float]] = {column: {} for column in COLUMNS}
        for line, values in lines.items():
            if values:
                of_column, row = sums[line.column], (line.revision, "")
                of_column[row] = of_column.get(row, 0.0) + sum(values)
        return samples(records_of(sums, by_good="good" in columns, per=False))

    async def has_rows(self, query: Query, window: Window) -> bool:
        """Raises as `query` does."""
        return any((await self._sums(query, window)).values())

    async def close(self) -> None:
        await self._client.close()

    async def _sums(self, query: Query, window: Window) -> Mapping[Line, Sequence[float]]:
        """Of the periods that end in the window."""
        text = query.text
        start, end = edges(window)
        period = self._config.period
        first = (start // 1000 - period) // period * period
        request: dict[str, Any] = {
            "StartTime": first,
            "EndTime": max(first + period, -(-end // 1000)),
            "ScanBy": "TimestampAscending",
        }
        async with asking(self._server):
            found: dict[str, list[float]] = {}
            try:
                lines = lines_of(text)
            except BrokenMetricError:
                await self._page({**request, "MetricDataQueries": []})  # an outage is said before what is wrong here
                raise
            named = {f"m{number}": line for number, line in enumerate(lines)}
            request["MetricDataQueries"] = [line.query(name, period) for name, line in named.items()]
            for _ in range(_MOST_PAGES):
                page = await self._page(request)
                try:
                    self._add(found, page, (start, end))
                    more = page.get("NextToken")
                except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
                    raise self._server.nonsense("JSON") from error
                if not more:
                    return {line: found.get(name, []) for name, line in named.items()}
                request["NextToken"] = more
        raise BrokenMetricError(f"the answer has more than {_MOST_PAGES} pages; ask for longer periods")

    def _add(self, found: dict[str, list[float]], page: Mapping[str, Any], window: tuple[int, int]) -> None:
        start, end = window
        for result in page["MetricDataResults"]:
            status = result.get("StatusCode", "Complete")
            # a part of the data is whole with the pages that follow, and otherwise is not
            if status not in ("Complete", "PartialData") or (status == "PartialData" and not page.get("NextToken")):
                raise SourceOutageError(f"CloudWatch at {self._server.where} has not all of the data: {status}")
            for moment, value in zip(result["Timestamps"], result["Values"], strict=True):
                if start <= (float(moment) + self._config.period) * 1000 < end:
                    found.setdefault(result["Id"], []).append(float(value))

    async def _page(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        body = json.dumps(request).encode()
        signed = AWSRequest("POST", f"{self._server.url}/", {"Content-Type": _TYPE, "X-Amz-Target": _TARGET}, body)
        try:
            # may ask for new ones, over the network
            frozen = await asyncio.to_thread((await self._found_credentials()).get_frozen_credentials)
            SigV4Auth(frozen, "monitoring", self._config.region).add_auth(signed)
        except BotoCoreError as error:
            raise SourceOutageError(f"there are no credentials for CloudWatch: {error!s:.200}") from error
        answer = await self._client.post("/", data=body, headers=dict(signed.headers.items()))
        try:
            page = json.loads(answer)
            page["MetricDataResults"]
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise self._server.nonsense("JSON") from error
        return page  # type: ignore[no-any-return]

    async def _found_credentials(self) -> Credentials:
        """Raises SourceOutageError. In a thread: a metadata service that does not answer takes seconds."""
        async with self._looking:
            if self._credentials is None:
                self._credentials = await asyncio.to_thread(_own_credentials)
            return self._credentials

    def _refusal(self, status: int, body: bytes) -> Exception:
        """AWS says in a word of its own whose fault it is: a throttled request is a 400, as a wrong one."""
        try:
            said = json.loads(body)
            kind = str(said["__type"]).rpartition("#")[2]
            message = str(said.get("message") or said.get("Message") or "")
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return self._server.refusal(status, b"")
        sentence = self._server.shortened(f"{kind}: {message}")
        where = f"CloudWatch at {self._server.where}"
        if _OF_THE_QUERY.match(kind):
            return BrokenMetricError(f"{where} cannot answer the query ({status}): {sentence}")
        if _OVERLOADED.match(kind):
            return SourceOutageError(f"{where} is overloaded ({status}): {sentence}")
        return SourceOutageError(f"{where} answered {status}: {sentence}")


def create(config: Config, secrets: Mapping[str, str], resolve: Resolve | None) -> MetricProvider:
    """Raises SourceOutageError for credentials that are of no use: they are wrong, and not the canary."""
    credentials: Credentials | None = None
    url = config.url or f"https://monitoring.{config.region}.amazonaws.com"
    secret = ""
    if config.secret_key is not None:
        try:
            secret = sendable(secrets[_KEY])
        except ValueError as error:
            named = f"key {config.secret_key.key} of Secret {config.secret_key.name}"
            raise SourceOutageError(f"{named} {error}") from error
        credentials = Credentials(config.access_key_id, secret)
    elif resolve is not None:
        raise SourceOutageError("accessKeyId is missing: the operator's own credentials are for its namespace alone")
    server = Server(
        url=url,
        where=urlsplit(url).netloc,
        token=secret,
        timeout_s=config.timeout_s,
        tls=tls(),
        resolve=resolve,
        system="CloudWatch",
    )
    return CloudWatch(config, credentials, server)


def _own_credentials() -> Credentials:
    """Raises SourceOutageError, BotoCoreError."""
    found: Credentials | None = botocore.session.get_session().get_credentials()
    if found is None:
        raise SourceOutageError("there are no credentials for CloudWatch: set accessKeyId, or give the operator some")
    return found
