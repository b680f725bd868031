"""The configuration of a Grafana source, what it sends for counts, and what its answers mean."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from controller.api.fields import NO_KINDS, Place, parse, schema
from controller.api.metrics import START_TOKEN, STOP_TOKEN
from controller.api.reading import SpecError
from controller.api.secret import SecretRef
from controller.ports import BrokenMetricError, NoData, Query, Row, Samples, SourceOutageError, Window
from controller.providers import grafana
from controller.providers._frames import (
    DataSourceOutError,
    FrameShapeError,
    PartialFramesError,
    QueryRefusedError,
    records,
)

TOKEN = "glsa_top-secret"  # noqa: S105 - of nothing
WINDOW = Window(
    datetime(2026, 5, 1, 10, 0, 0, 250_001, tzinfo=UTC), datetime(2026, 5, 1, 10, 0, 5, 500_001, tzinfo=UTC)
)
FLUX = Query("flux", f"from(bucket: 1) |> range(start: {START_TOKEN}, stop: {STOP_TOKEN})")


def parsed(**changes: Any) -> grafana.Config:
    raw = {**grafana.EXAMPLE, **changes}
    return parse(grafana.Config, {k: v for k, v in raw.items() if v is not None}, Place("spec.grafana"))


def refused(**changes: Any) -> str:
    with pytest.raises(SpecError) as caught:
        parsed(**changes)
    return str(caught.value)


# -- the configuration -------------------------------------------------------------------------------------------------


def test_the_example_is_valid() -> None:
    config = parsed()
    assert config.data_source == grafana.DataSource("P951FEA4DE68E13C5", "influxdb")
    assert config.token_secret == SecretRef("grafana-reader", "token")
    assert (config.org_id, config.timeout_s) == (1, 5)


def test_a_data_source_is_of_influxdb_and_of_the_tokens_organization_unless_it_says_otherwise() -> None:
    config = parsed(datasource={"uid": "abc"}, orgId=None, bucket=None, timeout=None)
    assert (config.data_source.type, config.org_id, config.bucket, config.timeout_s) == ("influxdb", 0, "", 5)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"url": None}, "spec.grafana.url: is required"),
        ({"url": "grafana:3000"}, "spec.grafana.url: is not an http or https url such as http://gate.qa/check"),
        ({"url": "http://a?org=1"}, "spec.grafana.url: has a query; leave it out"),
        ({"datasource": None}, "spec.grafana.datasource: is required"),
        ({"datasource": {"uid": "a/b"}}, "spec.grafana.datasource.uid: "),
        ({"datasource": {"uid": "a", "type": "loki"}}, "spec.grafana.datasource.type: 'loki' is not one of influxdb"),
        ({"tokenSecretRef": None}, "spec.grafana.tokenSecretRef: is required"),
        ({"timeout": "2h"}, "spec.grafana.timeout: is not between 100ms and 1m"),
        ({"orgId": 0}, "spec.grafana.orgId: 0 is not at least 1"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes: dict[str, Any], sentence: str) -> None:
    assert refused(**changes).startswith(sentence)


def test_every_field_is_in_the_example() -> None:
    assert set(grafana.EXAMPLE) == set(schema(grafana.Config, NO_KINDS)["properties"])


def test_a_token_that_no_header_takes_is_an_outage_that_names_the_secret() -> None:
    with pytest.raises(SourceOutageError, match="key token of Secret grafana-reader is not a valid Grafana token"):
        grafana.create(parsed(), {"token": "a\nb"}, None)


def answers(status: int, content: bytes | str) -> httpx.Response:
    """As it comes over the wire, not read yet."""
    body = content.encode() if isinstance(content, str) else content
    return httpx.Response(status, headers={"Content-Length": str(len(body))}, stream=httpx.ByteStream(body))


# -- what is sent ------------------------------------------------------------------------------------------------------


async def ask(answer: Any, query: Query = FLUX, **changes: Any) -> Samples | NoData:
    provider = grafana.Grafana(parsed(**changes), TOKEN, connections=httpx.MockTransport(answer))
    try:
        return await provider.query(query, WINDOW)
    finally:
        await provider.close()


async def sent(query: Query, **changes: Any) -> httpx.Request:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return answers(200, '{"results": {"A": {"status": 200, "frames": []}}}')

    assert await ask(answer, query, **changes) == NoData()
    return seen[0]


async def test_a_flux_query_goes_through_as_it_is() -> None:
    request = await sent(FLUX)
    assert str(request.url) == "http://grafana.monitoring:3000/api/ds/query"
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    assert request.headers["X-Grafana-Org-Id"] == "1"
    body = json.loads(request.content)
    (query,) = body["queries"]
    assert query["datasource"] == {"uid": "P951FEA4DE68E13C5", "type": "influxdb"}
    assert query["query"] == (
        "from(bucket: 1) |> range(start: 2026-05-01T10:00:00.250001Z, stop: 2026-05-01T10:00:05.500001Z)"
    )
    assert (int(body["from"]) % 60_000, int(body["to"]) % 60_000) == (250, 5_501)


async def test_an_influxql_query_comes_back_as_a_table() -> None:
    (query,) = json.loads((await sent(Query("influxql", "SELECT 1"))).content)["queries"]
    assert (query["query"], query["rawQuery"], query["resultFormat"]) == ("SELECT 1", True, "table")


async def test_a_grafana_under_a_path_is_called_there_and_without_an_organization() -> None:
    request = await sent(FLUX, url="https://example.com/grafana/", orgId=None)
    assert str(request.url) == "https://example.com/grafana/api/ds/query"
    assert "X-Grafana-Org-Id" not in request.headers


async def test_a_language_that_the_data_source_does_not_speak_is_a_broken_metric() -> None:
    with pytest.raises(BrokenMetricError, match="a data source of type influxdb supports flux and influxql, not sql"):
        await sent(Query("sql", "SELECT 1"))


@pytest.mark.parametrize("text", ['x == "a.buckets"', "range(start: v.timeRangeStartNot)", 'price == "$5 an interval"'])
async def test_what_only_looks_like_a_macro_is_sent(text: str) -> None:
    assert text in json.loads((await sent(Query("flux", text))).content)["queries"][0]["query"]


# -- what comes back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (302, "", "grafana.monitoring:3000 redirects (302), which is not followed; correct the url"),
        (401, '{"message": "Invalid API key"}', "refuses the token (401): Invalid API key"),
        (403, "", "does not let the token query the data source (403)"),
        (404, '{"message": "Data source not found"}', "has no data source P951FEA4DE68E13C5 (404): Data source not"),
        (429, "", "is overloaded (429)"),
        (500, '{"message": 7}', "answered 500"),
        (502, "<html>", "answered 502"),
        (400, '{"message": "bad request data"}', "answered 400: bad request data"),
        (200, "<html>welcome</html>", "answered with something that is not Grafana's data frames"),
        (200, '{"results": {}}', "answered with something that is not Grafana's data frames"),
    ],
)
async def test_what_says_nothing_about_the_query_is_an_outage(status: int, body: str, sentence: str) -> None:
    with pytest.raises(SourceOutageError) as caught:
        await ask(lambda _: answers(status, body))
    assert sentence in str(caught.value)
    assert str(caught.value).count("Grafana at") <= 1


async def test_a_message_is_one_short_line_without_the_token() -> None:
    error = f"Bearer {TOKEN}\x1b[31m\n" + "x" * 10_000
    with pytest.raises(BrokenMetricError) as caught:
        await ask(lambda _: answers(400, json.dumps({"results": {"A": {"error": error, "status": 400}}})))
    assert TOKEN not in str(caught.value)
    assert "Bearer [token][31m x" in str(caught.value)
    assert len(str(caught.value)) < 400


async def test_an_answer_that_may_be_cut_is_an_outage() -> None:
    class Cut(httpx.AsyncByteStream):
        async def __aiter__(self) -> Any:
            yield b'{"results": {"A": {"frames": []}}}'

    with pytest.raises(SourceOutageError, match="did not say how long its answer is"):
        await ask(lambda _: httpx.Response(200, stream=Cut()))


def frame(*fields: Any, entities: Any = None) -> dict[str, Any]:
    """Of (name, type, labels, values)."""
    described = [
        {"name": name, "type": kind, "typeInfo": {"frame": kind}} | ({"labels": labels} if labels else {})
        for name, kind, labels, _ in fields
    ]
    data = {"values": [values for _, _, _, values in fields]} | ({"entities": entities} if entities else {})
    return {"schema": {"refId": "A", "fields": described}, "data": data}


def answered(*frames: Any, **result: Any) -> bytes:
    return json.dumps({"results": {"A": {"status": 200, "frames": list(frames), **result}}}).encode()


S, C = "aaaaaaaaaa", "bbbbbbbbbb"
EXPECTED = [{"revision": S, "bad": 3, "total": 100}, {"revision": C, "bad": 1, "total": 5}]


@pytest.mark.parametrize(
    "frames",
    [
        [  # one for each group, as Flux's
            frame(("bad", "number", {"revision": S}, [3]), ("total", "number", {"revision": S}, [100])),
            frame(("bad", "number", {"revision": C}, [1]), ("total", "number", {"revision": C}, [5])),
        ],
        [  # a table
            frame(
                ("Time", "time", {}, [0, 0]),
                ("revision", "string", {}, [S, C]),
                ("bad", "number", {}, [3, 1]),
                ("total", "number", {}, [100, 5]),
            )
        ],
        [  # a wide series
            frame(
                ("time", "time", {}, [0]),
                ("bad", "number", {"revision": S}, [3]),
                ("bad", "number", {"revision": C}, [1]),
                ("total", "number", {"revision": S}, [100]),
                ("total", "number", {"revision": C}, [5]),
            )
        ],
    ],
)
def test_a_column_is_a_field_or_a_label(frames: list[Any]) -> None:
    assert records(answered(*frames)) == EXPECTED


def test_frames_without_rows_or_columns_are_no_rows() -> None:
    nothing = frame(("revision", "string", {}, []), ("bad", "number", {}, []))
    assert records(answered(frame(), nothing)) == []
    assert records(b'{"results": {"A": {"status": 200}}}') == []


def test_numbers_that_json_does_not_have_are_what_the_frame_says_they_are() -> None:
    odd = frame(("a", "number", {}, [1, None, None, None]), entities=[{"NaN": [1], "Inf": [2], "NegInf": [3]}])
    values = [record["a"] for record in records(answered(odd))]
    assert values[0] == 1
    assert math.isnan(values[1])  # type: ignore[arg-type]
    assert values[2:] == [math.inf, -math.inf]


ROW = frame(("bad", "number", {"revision": S}, [3]))


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        (answered(error="unexpected EOF", status=500), DataSourceOutError),
        (answered(error='Post "http://influxdb:8086": dial tcp: connect: connection refused'), DataSourceOutError),
        (answered(error="unauthorized: unauthorized access", status=401), DataSourceOutError),
        (answered(error="Bad Gateway", status=502), DataSourceOutError),
        (answered(error="something", status=503), DataSourceOutError),
        (answered(ROW, error="context deadline exceeded", status=500), DataSourceOutError),
        (answered(error="compilation failed", status=400), QueryRefusedError),
        (answered(error="error parsing query: found EOF, expected FROM at line 1"), QueryRefusedError),
        (answered(error="no column _value", status=500), QueryRefusedError),
        (answered(ROW, error="results are truncated, max series reached (1)", status=500), PartialFramesError),
        (answered(frame(("bad", "number", {}, [1]), ("total", "number", {}, []))), FrameShapeError),
        (answered(frame(("bad", "number", {}, [1]), ("bad", "number", {}, [1]))), FrameShapeError),
        (answered(frame(("bad", "number", {}, 7))), FrameShapeError),
        (answered({"schema": {"fields": []}}), FrameShapeError),
        (answered({"data": {"values": [[1]]}}), FrameShapeError),
        (answered(frame(("a", "number", {}, [1]), entities=[{"Odd": [0]}])), FrameShapeError),
        (answered(frame(("a", "number", {}, [1]), entities=[{"NaN": [9]}])), FrameShapeError),
        (b'{"results": {"B": {"frames": []}}}', FrameShapeError),
        (b'{"results": {"A": 7}}', FrameShapeError),
        (b"[" * 100_000, FrameShapeError),
    ],
)
def test_each_way_of_being_wrong_has_a_type(result: bytes, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        records(result)


async def test_rows_are_counts() -> None:
    whole = frame(("bad", "number", {"revision": S}, [3]), ("total", "number", {"revision": S}, [100]))
    assert await ask(lambda _: answers(200, answered(whole))) == Samples((Row(S, 3, 100),))
