"""Sums of whole periods become counts; what CloudWatch says of itself decides whose fault it is."""

import json
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest

from controller.api.fields import Place, parse
from controller.api.reading import SpecError
from controller.ports import BrokenMetricError, NoData, Query, Row, Samples, SourceOutageError, Window
from controller.providers import cloudwatch
from controller.providers.cloudwatch import Line, lines_of

STABLE, CANARY = "aaaaaaaaaa", "bbbbbbbbbb"
T0 = datetime(2026, 5, 1, tzinfo=UTC)
START = T0.timestamp()
WINDOW = Window(T0, T0 + timedelta(minutes=5))
TEXT = f'''total of "{STABLE}": "Shop" "Requests" Revision="{STABLE}"
bad of {STABLE}: "Shop" "Errors" Revision="{STABLE}"'''


def config(**fields: Any) -> cloudwatch.Config:
    return parse(cloudwatch.Config, {**cloudwatch.EXAMPLE, **fields}, Place("spec.cloudwatch"))


class Body(httpx.AsyncByteStream):
    def __init__(self, body: bytes) -> None:
        self.body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.body


def reply(said: Any, status: int = 200) -> httpx.Response:
    body = json.dumps(said).encode()
    return httpx.Response(status, headers={"Content-Length": str(len(body))}, stream=Body(body))


def result(name: str, values: dict[float, float], status: str = "Complete") -> dict[str, Any]:
    """By seconds after the window's start, at which a period begins."""
    moments = [START + second for second in values]
    return {"Id": name, "StatusCode": status, "Timestamps": moments, "Values": list(values.values())}


def said(*results: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"MetricDataResults": list(results), **more}


async def asked(handle: Any, text: str = TEXT, window: Window = WINDOW, **fields: Any) -> Samples | NoData:
    provider = cloudwatch.create(config(**fields), {"key": "secret"}, None)
    assert isinstance(provider, cloudwatch.CloudWatch)
    provider._client._client = httpx.AsyncClient(base_url=provider._server.url, transport=httpx.MockTransport(handle))
    try:
        return await provider.query(Query("cloudwatch", text), window)
    finally:
        await provider.close()


def always(page: dict[str, Any], status: int = 200) -> Any:
    return lambda _: reply(page, status)


async def test_a_period_belongs_to_the_window_in_which_it_ends():
    page = said(result("m0", {-120: 1000, -60: 1, 0: 20, 180: 300, 240: 4000}), result("m1", {-60: 1, 180: 4}))
    assert await asked(always(page)) == Samples((Row(STABLE, 5, 321),))


async def test_windows_that_touch_count_each_period_once():
    minutes = {60.0 * number: float(2 ** (number + 2)) for number in range(-2, 12)}
    page = said(result("m0", minutes), result("m1", {}))
    ends = (0, 7, 60, 60.001, 130, 500)
    seen = 0
    for start, end in pairwise(ends):
        found = await asked(always(page), window=Window(T0 + timedelta(seconds=start), T0 + timedelta(seconds=end)))
        seen += found.rows[0].total if isinstance(found, Samples) else 0
    assert seen == sum(value for begin, value in minutes.items() if 0 <= begin + 60 < 500)


async def test_it_asks_signed_for_sums_of_whole_periods():
    requests: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return reply(said())

    assert await asked(handle) == NoData()
    (request,) = requests
    assert str(request.url) == "https://monitoring.eu-central-1.amazonaws.com/"
    assert request.headers["X-Amz-Target"] == "GraniteServiceVersion20100801.GetMetricData"
    assert request.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/")
    body = json.loads(request.content)
    assert (body["StartTime"], body["EndTime"]) == (START - 60, START + 300)
    assert body["MetricDataQueries"][1] == {
        "Id": "m1",
        "MetricStat": {
            "Metric": {
                "Namespace": "Shop",
                "MetricName": "Errors",
                "Dimensions": [{"Name": "Revision", "Value": STABLE}],
            },
            "Period": 60,
            "Stat": "Sum",
        },
    }


async def test_pages_are_read_to_the_last_one():
    def handle(request: httpx.Request) -> httpx.Response:
        if "NextToken" in json.loads(request.content):
            return reply(said(result("m0", {0: 5})))
        return reply(said(result("m0", {60: 20}, "PartialData"), result("m1", {60: 3}), NextToken="more"))

    assert await asked(handle) == Samples((Row(STABLE, 3, 25),))
    with pytest.raises(BrokenMetricError, match="more than 5 pages"):
        await asked(always(said(NextToken="more")))


@pytest.mark.parametrize("status", ["PartialData", "InternalError", "Forbidden"])
async def test_a_part_of_the_data_is_an_outage(status):
    with pytest.raises(SourceOutageError, match=f"has not all of the data: {status}"):
        await asked(always(said(result("m0", {0: 20}, status))))


REFUSALS = [
    (400, "com.amazonaws#ThrottlingException", SourceOutageError, r"is overloaded \(400\): Throttling"),
    (400, "Throttling", SourceOutageError, "is overloaded"),
    (400, "ValidationError", BrokenMetricError, r"cannot answer the query \(400\): ValidationError"),
    (400, "InvalidParameterCombination", BrokenMetricError, "cannot answer the query"),
    (400, "ExpiredTokenException", SourceOutageError, "answered 400: ExpiredTokenException"),
    (403, "AccessDenied", SourceOutageError, "answered 403: AccessDenied"),
    (500, "InternalServiceFault", SourceOutageError, "answered 500"),
]


@pytest.mark.parametrize(("status", "kind", "error", "sentence"), REFUSALS)
async def test_throttling_is_an_outage_and_a_wrong_query_is_not(status, kind, error, sentence):
    page = {"__type": kind, "message": "that key, secret, no"}
    with pytest.raises(error, match=sentence) as caught:
        await asked(always(page, status))
    assert "key, secret" not in str(caught.value)


async def test_a_gateways_400_is_no_word_of_cloudwatch():
    with pytest.raises(SourceOutageError, match="answered 400"):
        await asked(always({"error": "bad request"}, 400))


@pytest.mark.parametrize("page", [said({"Id": "m0"}), said(result("m0", {0: "x"})), {"MetricDataResults": 7}])  # type: ignore[dict-item]
async def test_what_is_no_answer_is_an_outage(page):
    with pytest.raises(SourceOutageError, match="not CloudWatch's JSON"):
        await asked(always(page))


async def test_a_fraction_or_a_count_of_ten_to_the_fifteenth_is_a_broken_metric():
    with pytest.raises(BrokenMetricError, match="not a whole number"):
        await asked(always(said(result("m0", {0: 2.5}))))
    with pytest.raises(BrokenMetricError, match=r"not between 0 and 10\^9"):
        await asked(always(said(result("m0", {0: 1e15}))))


def test_a_line_is_a_metric_with_its_dimensions():
    (line,) = lines_of(r'good of bbbbbbbbbb: "AWS/SQS" "Sent \"x\"" Queue="a b" "odd name"="\\"')
    assert line == Line("good", CANARY, "AWS/SQS", 'Sent "x"', (("Queue", "a b"), ("odd name", "\\")))
    assert lines_of('"AWS/SQS" "Sent"') == (Line("", "", "AWS/SQS", "Sent", ()),)
    assert len(lines_of(f"{TEXT}\n{TEXT}")) == 2, "the first version beside itself"


@pytest.mark.parametrize(
    "text", ["", "total", 'total: "a" "b"', 'total of aaaaaaaaaa: "a"', 'x of aaaaaaaaaa: "a" "b"']
)
def test_what_is_no_line_is_said(text):
    with pytest.raises(BrokenMetricError, match=r"of the query is not of the form|the query has 0 metrics"):
        lines_of(text)


async def test_a_line_without_a_column_counts_nothing():
    with pytest.raises(BrokenMetricError, match="needs a column"):
        await asked(always(said()), '"Shop" "Requests"')


def test_a_tenant_needs_an_access_key_of_its_own():
    async def resolve(_: str, __: int) -> tuple[str, ...]:
        return ()

    raw = {name: value for name, value in cloudwatch.EXAMPLE.items() if not name.startswith(("access", "secret"))}
    own = parse(cloudwatch.Config, raw, Place("spec.cloudwatch"))
    with pytest.raises(SourceOutageError, match="the operator's own credentials are for its namespace alone"):
        cloudwatch.create(own, {}, resolve)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"period": "7s"}, "spec.cloudwatch.period: 7s is neither 1s, 5s, 10s, 20s, 30s nor whole minutes"),
        ({"period": "2h"}, "spec.cloudwatch.period: "),
        ({"region": "EU Central"}, "spec.cloudwatch.region: 'EU Central' is not a region such as eu-central-1"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields, problem):
    with pytest.raises(SpecError, match=problem):
        config(**fields)


def test_a_value_with_another_line_separator_does_not_end_a_line() -> None:
    (line,) = lines_of('total of aaaaaaaaaa: "Shop" "Requests" Path="a\u2028# b"')
    assert line.dimensions == (("Path", "a\u2028# b"),)


async def test_the_operators_own_credentials_are_looked_for_beside_the_event_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A metadata service that does not answer takes seconds, in which no Release would get its pass."""
    threads = []

    class Session:
        def get_credentials(self) -> None:
            threads.append(threading.current_thread())

    monkeypatch.setattr("botocore.session.get_session", Session)
    raw = {name: value for name, value in cloudwatch.EXAMPLE.items() if not name.startswith(("access", "secret"))}
    provider = cloudwatch.create(parse(cloudwatch.Config, raw, Place("spec.cloudwatch")), {}, None)
    with pytest.raises(SourceOutageError, match="give the operator some"):
        await provider.query(Query("cloudwatch", TEXT), WINDOW)
    assert threads
    assert threading.main_thread() not in threads
