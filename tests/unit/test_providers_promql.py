"""Counters become counts: series by series, each increment once, and what cannot be known is said."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest

from controller.api.fields import Place, parse
from controller.api.reading import SpecError
from controller.ports import BrokenMetricError, NoData, Query, Row, Samples, SourceOutageError, Window
from controller.providers import prometheus
from controller.providers._promql import Answer, Line, Series, counted, edges, lines_of, series_of

T0 = datetime(2026, 5, 1, tzinfo=UTC)
START, END = edges(Window(T0, T0 + timedelta(seconds=10)))
WINDOW = Window(T0, T0 + timedelta(seconds=10))
STABLE, CANARY = "aaaaaaaaaa", "bbbbbbbbbb"


def series(*values: float, at: float = 1.0, every: float = 2.0, **labels: str) -> Series:
    """Samples from `at` seconds after the window's start on."""
    moments = (START + round((at + every * number) * 1000) for number in range(len(values)))
    return Series({"__name__": "x", "revision": STABLE, **labels}, tuple(zip(moments, values, strict=True)))


def rows(*answers: Answer, window: Window = WINDOW) -> dict[tuple[str, str], tuple[float, float]]:
    return {
        (str(one["revision"]), str(one.get("threshold", ""))): (one["bad"], one["total"])  # type: ignore[misc]
        for one in counted(answers, window)
    }


def answer(column: str, before: list[Series], within: list[Series], **line: Any) -> Answer:
    return Answer(Line(1, column, "x", **line), before, within)


NO_BAD = answer("bad", [], [])


def total(before: list[Series], within: list[Series], window: Window = WINDOW) -> float:
    return rows(answer("total", before, within), NO_BAD, window=window).get((STABLE, ""), (0, 0))[1]


def test_a_counter_counts_what_its_samples_have_more_than_the_one_before_the_window():
    assert total([series(100.0, at=-5)], [series(100, 103, 110)]) == 10


def test_a_counter_that_falls_was_reset_and_counts_from_zero():
    assert total([series(100.0, at=-5)], [series(104, 3, 5, 2)]) == 4 + 3 + 2 + 2
    assert total([series(100.0, at=-5)], [series(7)]) == 7, "the pod was restarted between two scrapes"


def test_a_series_that_is_new_counts_from_zero_and_not_from_its_first_sample():
    """`increase()` leaves the first five errors of a status code out."""
    old = series(100.0, at=-5, code="200")
    found = rows(
        answer("total", [old], [series(100, 102, code="200"), series(5, 6, code="500")]),
        answer("bad", [], [series(5, 6, code="500")]),
    )
    assert found == {(STABLE, ""): (6, 8)}


def test_where_nothing_was_scraped_before_what_came_before_is_not_counted():
    """A Prometheus that was away for a day does not show a day's requests in one look."""
    assert total([], [series(10**6, 10**6 + 3)]) == 3


def test_a_pod_that_is_gone_counts_to_its_last_sample():
    assert total([series(100.0, at=-5)], [series(103, at=0.5)]) == 3


def test_samples_at_the_edges_belong_to_the_window_that_begins_there():
    within = [series(1, 2, 4, 8, at=-2, every=4)]  # -2, 2, 6, 10 s
    assert total([series(1, at=-2)], within) == 3, "that at 10 s is the next window's"
    assert total([series(1, at=-2)], [series(2, at=0.0)]) == 1, "that at 0 s is this one's"


def test_windows_that_touch_count_each_increment_once():
    values, value = [], 0
    for second in range(120):
        value = value + second % 7 if second % 31 else second % 5
        values.append((START + 1000 * second + 137, float(value)))
    whole = Series({"revision": STABLE}, tuple(values))
    ends = [0, 3.1, 3.137, 3.138, 7, 30.5, 64, 119.2]
    seen = 0.0
    for start, end in pairwise(ends):
        window = Window(T0 + timedelta(seconds=start), T0 + timedelta(seconds=end))
        first, last = edges(window)
        before = [Series(whole.labels, tuple(one for one in values if one[0] < first)[-1:])]
        inside = [Series(whole.labels, tuple(one for one in values if first <= one[0] < last))]
        seen += sum(units for _, units in rows(answer("total", before, inside), NO_BAD, window=window).values())
    all_of_it = Window(T0, T0 + timedelta(seconds=119.2))
    first, last = edges(all_of_it)
    once = Series(whole.labels, tuple(one for one in values if first <= one[0] < last))
    # nothing was scraped before the first window, so what it begins with is not counted: a zero
    assert seen == total([], [once], all_of_it) > 300


def test_histograms_count_what_is_above_each_edge():
    def bucket(edge: str, *values: float, at: float = 1.0) -> Series:
        return series(*values, at=at, le=edge)

    found = rows(
        answer("total", [series(100, at=-5)], [series(110)]),
        answer(
            "good",
            [bucket("0.1", 90, at=-5), bucket("0.25", 99, at=-5), bucket("+Inf", 100, at=-5)],
            [bucket("0.1", 94), bucket("0.25", 108), bucket("+Inf", 110)],
            per="le",
        ),
    )
    assert found == {(STABLE, "0.1"): (6, 10), (STABLE, "0.25"): (1, 10)}


def test_a_threshold_that_is_no_edge_is_a_broken_metric_and_not_a_slow_version():
    with pytest.raises(BrokenMetricError, match="has 10 units, and no series in the column good"):
        rows(answer("total", [series(100, at=-5)], [series(110)]), answer("good", [], []))
    with pytest.raises(BrokenMetricError, match="has 10 units, and no series in the column good"):
        rows(answer("total", [series(100, at=-5)], [series(110)]), answer("good", [], [], per="le"))


def test_a_version_whose_counters_stand_still_has_a_row_of_zeros():
    assert rows(answer("total", [series(100, at=-5)], []), NO_BAD) == {(STABLE, ""): (0, 0)}


def test_a_line_can_say_whose_its_series_are():
    found = rows(
        answer("total", [series(1, at=-5)], [series(4, revision="")], revision=STABLE),
        answer("total", [series(1, at=-5, version=CANARY)], [series(3, version=CANARY)], by="version"),
        NO_BAD,
    )
    assert found == {(STABLE, ""): (0, 4), (CANARY, ""): (0, 2)}


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-1", "1e16"])
def test_what_is_no_count_is_a_broken_metric(value):
    with pytest.raises(BrokenMetricError, match="which is no count"):
        total([series(1, at=-5)], [series(float(value))])


# -- the text of a query --------------------------------------------------------------------------------------------


def test_a_query_is_a_line_for_each_column():
    found = lines_of(f"""
      # requests
      total: http_requests_total{{service="web",
        revision=~"{STABLE}|{CANARY}"}}
      bad of "{STABLE}" by pod per le: x{{le!=""}}
    """)
    assert [(one.column, one.revision, one.by, one.per) for one in found] == [
        ("total", "", "revision", ""),
        ("bad", STABLE, "pod", "le"),
    ]
    assert found[0].selector == f'http_requests_total{{service="web", revision=~"{STABLE}|{CANARY}"}}'


def test_a_heartbeat_is_a_selector_alone():
    (line,) = lines_of('up{job="web"}')
    assert (line.column, line.selector) == ("", 'up{job="web"}')
    assert line.of_window(WINDOW) == ('up{job="web"}[10000ms]', END / 1000 - 0.001)
    assert line.before(WINDOW) == ('last_over_time(up{job="web"}[1h])', START / 1000 - 0.001)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the query has 0 selectors"),
        ("total: x\n" * 9, "the query has 9 selectors"),
        ("up", "line 1 of the query names no column: write `total: up`"),
        ("total: x", "the query has the columns total; it needs total, and bad or good"),
        ("bad: x", "the query has the columns bad; it needs"),
        ("total: x\nbad: y\ngood: z", "the query has the columns bad, good, total"),
    ],
)
def test_a_query_that_counts_nothing_is_said(text, problem):
    with pytest.raises(BrokenMetricError, match=problem):
        counted([Answer(line, [], []) for line in lines_of(text)], WINDOW)


# -- answers --------------------------------------------------------------------------------------------------------


def said(kind: str = "matrix", result: Any = (), **more: Any) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": list(result)}, **more}).encode()


def test_a_part_of_the_series_is_an_outage_and_a_warning_of_the_query_breaks_the_metric():
    with pytest.raises(SourceOutageError, match=r"a part of the series only: store 10\.0\.0\.7 is away"):
        series_of(said(warnings=["store 10.0.0.7\nis away"]))
    with pytest.raises(BrokenMetricError, match="warns of the query"):
        series_of(said(warnings=["PromQL warning: encountered a mix of histograms and floats"]))
    assert series_of(said(infos=["PromQL info: metric might not be a counter"])) == []


@pytest.mark.parametrize("kind", ["scalar", "string"])
def test_a_line_that_is_no_selector_is_a_broken_metric(kind):
    with pytest.raises(BrokenMetricError, match=f"a line of the query is a {kind}"):
        series_of(said(kind, [0, "1"]))


def test_a_native_histogram_is_said():
    with pytest.raises(BrokenMetricError, match=r'latency\{revision="a"\} is a native histogram'):
        series_of(said(result=[{"metric": {"__name__": "latency", "revision": "a"}, "histograms": []}]))


# -- the source -----------------------------------------------------------------------------------------------------


def config(**fields: Any) -> prometheus.Config:
    raw = {"url": "http://prometheus.monitoring:9090/prefix", **fields}
    return parse(prometheus.Config, raw, Place("spec.prometheus"))


class Body(httpx.AsyncByteStream):
    def __init__(self, body: bytes) -> None:
        self.body = body

    async def __aiter__(self):
        yield self.body


def reply(body: bytes, status: int = 200) -> httpx.Response:
    return httpx.Response(status, headers={"Content-Length": str(len(body))}, stream=Body(body))


async def asked(one: prometheus.Config, handle: Any, secrets: dict[str, str], text: str = "total: x\nbad: y") -> Any:
    provider = prometheus.create(one, secrets, None)
    assert isinstance(provider, prometheus.Prometheus)
    client = provider._client
    client._client = httpx.AsyncClient(
        base_url=one.url, headers=client._headers, auth=client._auth, transport=httpx.MockTransport(handle)
    )
    try:
        return await provider.query(Query("promql", text), WINDOW)
    finally:
        await provider.close()


LOGINS = {
    "bearer": ({"tokenSecretRef": {"name": "s"}}, {"token": "t\n"}, "Bearer t"),
    "basic": (
        {"username": "ann", "passwordSecretRef": {"name": "s", "key": "p"}},
        {"password": "pw"},
        "Basic YW5uOnB3",
    ),
    "none": ({}, {}, None),
}


@pytest.mark.parametrize(("fields", "secrets", "sent"), LOGINS.values(), ids=LOGINS)
async def test_it_logs_in_as_it_is_set_and_asks_below_the_path_of_its_url(fields, secrets, sent):
    seen: list[httpx.Request] = []

    def handle(request):
        seen.append(request)
        return reply(said())

    assert await asked(config(tenant="shop", **fields), handle, secrets) == NoData()
    assert len(seen) == 4
    assert {request.url.path for request in seen} == {"/prefix/api/v1/query"}
    assert {request.headers.get("Authorization") for request in seen} == {sent}
    assert {request.headers["X-Scope-OrgID"] for request in seen} == {"shop"}


async def test_rows_come_out_of_its_answers():
    def handle(request):
        form = dict(part.split("=") for part in request.content.decode().split("&"))
        before = form["query"].startswith("last_over_time")
        value = {"x": 100, "y": 7}[form["query"].removeprefix("last_over_time%28")[0]] + (0 if before else 5)
        one: dict[str, Any] = {"metric": {"revision": CANARY}}
        one |= {"value": [START / 1000 - 1, str(value)]} if before else {"values": [[START / 1000, str(value)]]}
        return reply(said("vector" if before else "matrix", [one]))

    assert await asked(config(), handle, {}) == Samples((Row(CANARY, 5, 5),))


ANSWERS = [
    (400, {"errorType": "bad_data", "error": "parse error"}, BrokenMetricError, "cannot answer the query (400): parse"),
    (422, {"errorType": "execution", "error": "too many samples"}, BrokenMetricError, "(422): too many samples"),
    (503, {"errorType": "timeout", "error": "query timed out"}, SourceOutageError, "answered 503: query timed out"),
    (401, {}, SourceOutageError, "refuses the credentials (401)"),
    (404, {}, SourceOutageError, "answered 404"),
]


@pytest.mark.parametrize(("status", "body", "error", "sentence"), ANSWERS)
async def test_what_a_refusal_means(status, body, error, sentence):
    with pytest.raises(error) as caught:
        await asked(config(), lambda _: reply(json.dumps(body).encode(), status), {})
    assert str(caught.value).startswith("Prometheus at prometheus.monitoring:9090 ")
    assert sentence in str(caught.value)


@pytest.mark.parametrize("wrong", ["nonsense", "", "sésame"])
def test_certificates_that_are_none_name_their_secret(wrong):
    one = config(caSecretRef={"name": "ca", "key": "ca.crt"})
    with pytest.raises(SourceOutageError, match=r"key ca.crt of Secret ca is no certificate in PEM"):
        prometheus.create(one, {"certificates": wrong}, None)


def test_a_token_that_no_header_takes_names_its_secret():
    with pytest.raises(SourceOutageError, match="key token of Secret s cannot be sent in a header"):
        prometheus.create(config(tokenSecretRef={"name": "s"}), {"token": "a\nb"}, None)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"username": "ann"}, "spec.prometheus.username: and passwordSecretRef go together"),
        (
            {"tokenSecretRef": {"name": "s"}, "username": "a", "passwordSecretRef": {"name": "s"}},
            "spec.prometheus.tokenSecretRef: is set beside username",
        ),
        ({"tenant": "a b"}, "spec.prometheus.tenant: 'a b' is not a tenant's name"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields, problem):
    with pytest.raises(SpecError, match=problem):
        config(**fields)


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\r"])
def test_a_value_with_another_line_separator_does_not_end_a_line(separator: str) -> None:
    """Else `#` or `total:` after it would be the tenant's, and the matchers behind it would be gone."""
    written = f"""total: x{{
      path="a{separator}# ", service="shop",
      code=",b{separator}bad: y"}}"""
    (line,) = lines_of(written)
    assert line.selector == f'x{{ path="a{separator}# ", service="shop", code=",b{separator}bad: y"}}'


@pytest.mark.parametrize("sample", ['[Infinity, "1"]', f'[1{"0" * 400}, "1"]'])
def test_a_moment_that_is_none_is_no_answer_of_prometheus(sample: str) -> None:
    result = f'{{"metric": {{}}, "values": [{sample}]}}'
    body = f'{{"status": "success", "data": {{"resultType": "matrix", "result": [{result}]}}}}'
    with pytest.raises(ValueError, match="a moment"):
        series_of(body.encode())
