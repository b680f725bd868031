"""Counts through Grafana are those that its data source gives directly; what goes wrong on the way has a type."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from controller import registry
from controller.api.metrics import Context, bind, parse_template
from controller.ports import NoData, Query, Row, Samples, Window
from controller.providers import grafana
from controller.providers._frames import (
    DataSourceOutError,
    FrameShapeError,
    PartialFramesError,
    QueryRefusedError,
)
from controller.providers.rendering import Renderer
from hack.node.influx import InfluxDB
from tests.grafana_frames import Result
from tests.grafana_server import GrafanaServer
from tests.integration.behind_grafana import Behind, of_the_tests
from tests.integration.influx_server import CANARY, LANGUAGES, LOOK, STABLE, T0, Server, by_revision, counts

pytest_plugins = ["tests.integration.grafana_fixture", "tests.integration.influx_fixture"]

EACH = pytest.mark.parametrize("language", LANGUAGES)
LIBRARY = Path(__file__).parents[2] / "gitops" / "library"


@EACH
async def test_both_revisions_come_as_if_asked_directly(
    running: Server, behind: Behind, measurement: str, language: str
) -> None:
    running.write(
        f"{measurement},revision={STABLE} bad=3i,total=100i",
        f"{measurement},revision={CANARY} bad=1i,total=5i",
        f"{measurement},revision={CANARY},pod=b bad=0i,total=6i",
    )
    query = counts(measurement, language)
    assert by_revision(await behind.ask(query)) == {STABLE: (3, 100), CANARY: (1, 11)}
    assert await behind.ask(query) == await running.ask(query)


@EACH
async def test_integer_and_float_fields_count_alike(
    running: Server, behind: Behind, measurement: str, language: str
) -> None:
    running.write(f"{measurement},revision={STABLE} bad=3,total=100i")
    assert await behind.ask(counts(measurement, language)) == Samples((Row(STABLE, 3, 100),))


@EACH
async def test_nothing_in_the_window_is_no_data(
    running: Server, behind: Behind, measurement: str, language: str
) -> None:
    query = counts(measurement, language)
    assert await behind.ask(query) == NoData()
    async with behind.provider(language) as provider:
        assert not await provider.has_rows(query, LOOK)
        running.write(f"{measurement},revision={STABLE} bad=3i,total=100i")
        assert await provider.has_rows(query, LOOK)


@EACH
async def test_windows_that_touch_count_every_point_once(
    running: Server, behind: Behind, measurement: str, language: str
) -> None:
    """Grafana knows windows to the millisecond; what counts is what stands in the text."""
    for number in range(80):
        at = T0 + timedelta(milliseconds=250 * (number + 1))
        running.write(f"{measurement},revision={STABLE} bad={number % 2}i,total={number}i", at=at)
    edges = [T0 + timedelta(seconds=seconds) for seconds in (0, 5, 7.25, 7.250001, 12, 21)]
    seen = [0, 0]
    async with behind.provider(language) as provider:
        for start, end in pairwise(edges):
            result = await provider.query(counts(measurement, language), Window(start, end))
            for bad, total in by_revision(result).values() if isinstance(result, Samples) else ():
                seen = [seen[0] + bad, seen[1] + total]
    assert seen == [40, sum(range(80))]


@EACH
async def test_many_revisions_come_one_by_one(running: Server, behind: Behind, measurement: str, language: str) -> None:
    running.write(*(f"{measurement},revision=r{number} bad=1i,total={number}i" for number in range(1, 301)))
    query = counts(measurement, language)
    assert by_revision(await behind.ask(query)) == by_revision(await running.ask(query))


@pytest.mark.parametrize("name", ["http-errors", "http-latency", "job-failures"])
async def test_a_shipped_template_counts_alike(running: Server, behind: Behind, renderer: Renderer, name: str) -> None:
    stable, canary = f"grafana{name[:1]}".ljust(10, "b"), f"grafana{name[:1]}".ljust(10, "c")
    running.write(*_points_of(name, stable), *_points_of(name, canary))
    template = parse_template(
        yaml.safe_load((LIBRARY / f"{name}.yaml").read_text())["spec"],
        "spec",
        languages=LANGUAGES,
        kinds=registry.kinds(),
    )
    context = Context(
        cluster="c",
        namespace="shop",
        service="web",
        stable=stable,
        canary=canary,
        of_source={"bucket": InfluxDB.bucket},
    )
    query = await renderer.render(template, bind(template, None, "parameters"), context)
    through = await behind.ask(query)
    assert isinstance(through, Samples)
    assert {row.revision for row in through.rows} == {stable, canary}
    assert sorted(through.rows, key=str) == sorted((await _rows(running, query)), key=str)


def _points_of(name: str, revision: str) -> list[str]:
    route = f"httproute-shop-web-gw-x-svc-shop-web-{revision}-0@kubernetesgateway"
    return {
        "http-errors": [
            f"traefik.service.requests.total,service={route},code={code},method=GET,protocol=http count={count}"
            for code, count in ((200, 90), (502, 3))
        ],
        "http-latency": [
            f"http.server.request.duration,service=web,revision={revision},pod={pod},route=/ "
            "count=10i,le_0.25=7i,le_1=9i,sum=1.5"
            for pod in ("web-2", "web-b")
        ],
        "job-failures": [
            f"job.outcome,service=web,revision={revision},pod={pod} first_attempts=40i,first_attempt_failed=3i"
            for pod in ("p", "q")
        ],
    }[name]


async def _rows(running: Server, query: Query) -> tuple[Row, ...]:
    direct = await running.ask(query)
    assert isinstance(direct, Samples)
    return direct.rows


# -- what is wrong with the query -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("language", "text"), [("flux", "from(bucket: 7"), ("influxql", "SELECT FROM")])
async def test_a_syntax_error_breaks_the_metric_in_the_databases_words(
    running: Server, behind: Behind, language: str, text: str
) -> None:
    error = await behind.refused(Query(language, text))
    assert isinstance(error, QueryRefusedError)
    assert "Grafana at" in str(error)
    assert "pars" in str(error) or "expected" in str(error)


@EACH
async def test_several_series_where_one_is_due_break_the_metric(
    running: Server, behind: Behind, measurement: str, language: str
) -> None:
    running.write(
        f"{measurement},revision={STABLE},pod=a bad=3i,total=100i",
        f"{measurement},revision={STABLE},pod=b bad=3i,total=100i",
    )
    query = counts(measurement, language)
    by_pod = query.text.replace('GROUP BY "revision"', 'GROUP BY "revision", "pod"')
    by_pod = by_pod.replace('["revision", "_field"]', '["revision", "pod", "_field"]')
    by_pod = by_pod.replace('rowKey: ["revision"]', 'rowKey: ["revision", "pod"]')
    error = await behind.refused(replace(query, text=by_pod))
    assert str(error) == f"the query returned two rows for revision {STABLE}; sum them up in the query"


async def test_a_number_that_json_does_not_have_is_no_count(running: Server, behind: Behind, measurement: str) -> None:
    running.write(f"{measurement},revision={STABLE} bad=0.0,total=2i")
    query = counts(measurement, "flux")
    wrong = replace(query, text=query.text + " |> map(fn: (r) => ({r with bad: r.bad / 0.0}))")
    assert str(await behind.refused(wrong)) == "column bad is nan, which is not a count"


async def test_a_count_of_a_thousand_million_million_is_a_broken_metric(
    running: Server, behind: Behind, measurement: str
) -> None:
    running.write(f"{measurement},revision={STABLE} bad=0i,total=1000000000000000i")
    error = await behind.refused(counts(measurement, "flux"))
    assert str(error) == "column total is 1000000000000000, which is not between 0 and 10^9"


async def test_more_series_than_grafana_passes_on_are_partial(
    running: Server, behind: Behind, measurement: str
) -> None:
    running.write(*(f"{measurement},revision=r{number} bad=1i,total=2i" for number in range(1001)))
    assert isinstance(await behind.refused(counts(measurement, "flux")), PartialFramesError)


@EACH
async def test_a_huge_answer_is_not_read_to_its_end(
    running: Server, behind: Behind, measurement: str, language: str
) -> None:
    text = "x" * 60_000
    for number in range(25):
        at = T0 + timedelta(seconds=1, milliseconds=number)
        running.write(f'{measurement},revision={STABLE} text="{text}"', at=at)
    query = counts(measurement, language)
    raw = {
        "flux": query.text.split("|> group")[0],
        "influxql": f'SELECT * FROM "{measurement}"',  # noqa: S608 - a name of ours
    }[language]
    assert "answered with more than 1048576 bytes" in str(await behind.refused(replace(query, text=raw)))


@pytest.mark.parametrize(
    ("language", "text", "macro"),
    [
        ("flux", "from(bucket: v.bucket)", "v.bucket"),
        ("flux", 'filter(fn: (r) => r.organization == "a")', "r.organization"),
        ("flux", "aggregateWindow(every: $__interval)", "$__interval"),
        ("influxql", "SELECT sum(bad) FROM m WHERE $timeFilter", "$timeFilter"),
        ("influxql", "SELECT sum(bad) FROM m WHERE path = '/$interval'", "$interval"),
    ],
)
async def test_what_grafana_would_replace_is_refused_before_it_is_sent(
    behind: Behind, language: str, text: str, macro: str
) -> None:
    error = await behind.refused(Query(language, text))
    assert str(error).endswith("which Grafana replaces; write it in another way")
    assert macro.rsplit(".", maxsplit=1)[-1] in str(error)


# -- what says nothing about the query --------------------------------------------------------------------------------


async def test_a_wrong_token_is_an_outage_that_does_not_show_it(behind: Behind, measurement: str) -> None:
    wrong = "wrong-and-secret"
    error = await behind.outage(counts(measurement, "flux"), token=wrong)
    assert "refuses the token (401)" in str(error)
    assert wrong not in str(error)


async def test_a_data_source_that_is_not_there_is_an_outage_that_names_it(behind: Behind, measurement: str) -> None:
    error = await behind.outage(counts(measurement, "flux"), data_source=grafana.DataSource("Nowhere", "influxdb"))
    assert "Nowhere" in str(error)
    assert "(404)" in str(error)


async def test_another_organization_is_an_outage(behind: Behind, measurement: str) -> None:
    error = await behind.outage(counts(measurement, "flux"), org_id=4711)
    assert any(f"({status})" in str(error) for status in (401, 403))


async def test_a_grafana_that_is_not_there_is_an_outage(behind: Behind, measurement: str) -> None:
    error = await behind.outage(counts(measurement, "flux"), url="http://127.0.0.1:1")
    assert str(error) == "Grafana at 127.0.0.1:1 cannot be reached: no connection"


@EACH
async def test_a_database_that_is_out_behind_grafana_is_an_outage_and_comes_back(
    running: Server, behind: Behind, measurement: str, language: str
) -> None:
    running.write(f"{measurement},revision={STABLE} bad=3i,total=100i")
    async with behind.provider(language) as provider:
        before = await provider.query(counts(measurement, language), LOOK)
        running.influx.stop()
        try:
            with pytest.raises(DataSourceOutError, match="cannot reach its data source"):
                await provider.query(counts(measurement, language), LOOK)
        finally:
            running.influx.start()
        assert await provider.query(counts(measurement, language), LOOK) == before


# -- what no Grafana does on demand ------------------------------------------------------------------------------------


@pytest.fixture
async def server(running: Server) -> Any:
    async with GrafanaServer(running.influx).running() as server:
        yield server


async def test_requests_hold_the_published_schema(server: GrafanaServer, measurement: str) -> None:
    for language in LANGUAGES:
        assert await of_the_tests(server).ask(counts(measurement, language)) == NoData()
    assert len(server.requests) == len(LANGUAGES)


async def test_a_grafana_that_hangs_is_an_outage_after_the_timeout(server: GrafanaServer, measurement: str) -> None:
    async def hang(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    server.instead = hang
    before = time.monotonic()
    error = await of_the_tests(server).outage(counts(measurement, "flux"), timeout_s=0.3)
    assert str(error).endswith("did not answer within 0.3 s")
    assert time.monotonic() - before < 10


async def test_ten_megabytes_of_frames_are_not_read(server: GrafanaServer, measurement: str) -> None:
    sent = 0

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        for _ in range(160):
            await response.write(b" " * 65536)
            sent += 65536
        return response

    server.instead = flood
    error = await of_the_tests(server).refused(counts(measurement, "flux"))
    assert str(error).endswith("answered with more than 1048576 bytes; sum up in the query")
    assert sent < 10 * 1024 * 1024


def _with(**changes: Any) -> Any:
    return lambda result: {**result, **changes}


def _of_frames(change: Any) -> Any:
    def changed(result: Result) -> Result:
        for frame in result["frames"]:
            change(frame)
        return result

    return changed


@pytest.mark.parametrize(
    ("changed", "kind", "sentence"),
    [
        (_with(error="stream closed", status=500), PartialFramesError, "sent a part of the rows only: stream closed"),
        (
            _with(error="context deadline exceeded", status=504),
            DataSourceOutError,
            "cannot reach its data source: context deadline exceeded",
        ),
        (
            _of_frames(
                lambda frame: frame["schema"].update(meta={"notices": [{"severity": "warning", "text": "cut"}]})
            ),
            PartialFramesError,
            "warned that rows may be missing: cut",
        ),
        (_of_frames(lambda frame: frame["data"]["values"].pop()), FrameShapeError, "not Grafana's data frames"),
        (_of_frames(lambda frame: frame["data"]["values"][0].pop()), FrameShapeError, "not Grafana's data frames"),
        (_of_frames(lambda frame: frame.pop("schema")), FrameShapeError, "not Grafana's data frames"),
        (_with(frames={"a": 1}), FrameShapeError, "not Grafana's data frames"),
        (_with(frames=[7]), FrameShapeError, "not Grafana's data frames"),
    ],
)
async def test_frames_that_cannot_be_counted_have_a_type(
    server: GrafanaServer, running: Server, measurement: str, changed: Any, kind: type[Exception], sentence: str
) -> None:
    running.write(f"{measurement},revision={STABLE} bad=3i,total=100i")
    server.changed = changed
    with pytest.raises(kind, match=sentence):
        await of_the_tests(server).ask(counts(measurement, "flux"))
