"""Counts of a Prometheus behind Grafana are those that it gives directly; what goes wrong on the way has a type."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from controller.ports import BrokenMetricError, NoData, Query, Samples, SourceOutageError, Window
from controller.providers import grafana
from controller.providers._frames import DataSourceOutError, QueryRefusedError
from controller.providers.rendering import Renderer
from hack.node.prometheus import STALE, Prometheus
from tests.grafana_frames import Result
from tests.grafana_server import GrafanaServer
from tests.integration.behind_grafana import Behind, of_the_tests
from tests.integration.library import template_query
from tests.integration.prometheus_source import CANARY, LOOK, STABLE, T0, ask, by_revision, points

pytest_plugins = [
    "tests.integration.grafana_fixture",
    "tests.integration.influx_fixture",
    "tests.integration.prometheus_fixture",
]

_names = iter(range(10**6))


@pytest.fixture
def name() -> str:
    """Of a series; another for each test, so that one server is enough."""
    return f"behind_grafana_{next(_names)}_total"


def counting(name: str) -> Query:
    return Query("promql", f'total: {name}{{revision!=""}}\nbad: {name}{{revision!="",code=~"5.."}}')


async def test_counts_are_those_of_prometheus_itself(
    prometheus: Prometheus, prometheus_behind: Behind, name: str
) -> None:
    prometheus.write(
        [
            points(name, {-2: 100, 1: 103, 2: 3, 4: 10}, code="200", pod="reset"),
            points(name, {1: 1, 4: 2}, code="500", pod="new"),
            points(name, {-1: 100, 1: 104, 2: STALE}, code="200", pod="gone"),
            points(name, {-900: 100, 3: 150}, code="200", pod="late"),
            points(name, {-1: 10, -0.001: 11, 0: 13, 4.999: 17, 5: 25}, code="200", revision=CANARY),
        ]
    )
    found = await prometheus_behind.ask(counting(name))
    assert by_revision(found) == {STABLE: (2, 3 + 10 + 2 + 4 + 50), CANARY: (0, 17 - 11)}
    assert found == await ask(prometheus, counting(name))


async def test_windows_that_touch_count_every_increment_once(
    prometheus: Prometheus, prometheus_behind: Behind, name: str
) -> None:
    """Between two moments that Grafana could align a query to, too."""
    values = {second * 0.25: float(second * (second + 1) // 2) for second in range(-4, 81)}
    prometheus.write([points(name, {second: value + 10 for second, value in values.items()})])
    ends = [T0 + timedelta(seconds=seconds) for seconds in (0, 5, 7.25, 7.3, 7.301, 12, 20.25)]
    seen = 0
    async with prometheus_behind.provider("promql") as provider:
        for start, end in pairwise(ends):
            for _, total in by_revision(await provider.query(counting(name), Window(start, end))).values():
                seen += total
    assert seen == values[20] - values[-0.25]


async def test_nothing_in_the_window_is_no_data(prometheus: Prometheus, prometheus_behind: Behind, name: str) -> None:
    assert await prometheus_behind.ask(counting(name)) == NoData()
    async with prometheus_behind.provider("promql") as provider:
        assert not await provider.has_rows(Query("promql", name), LOOK)
        prometheus.write([points(name, {-1: 1, 5: 2})])
        assert not await provider.has_rows(Query("promql", name), LOOK), "its start counts, its end does not"
        prometheus.write([points(name, {0: 1}, pod="b")])
        assert await provider.has_rows(Query("promql", name), LOOK)


@pytest.mark.parametrize(
    ("template", "series"),
    [
        ("http-errors-app", [("http_server_request_duration_seconds_count", {"http_response_status_code": "500"})]),
        (
            "http-latency",
            [
                ("http_server_request_duration_seconds_bucket", {"le": "0.25"}),
                ("http_server_request_duration_seconds_bucket", {"le": "1.0"}),
                ("http_server_request_duration_seconds_bucket", {"le": "+Inf"}),
                ("http_server_request_duration_seconds_count", {}),
            ],
        ),
    ],
)
async def test_a_shipped_template_counts_alike(
    prometheus: Prometheus,
    prometheus_behind: Behind,
    renderer: Renderer,
    template: str,
    series: list[tuple[str, dict[str, str]]],
) -> None:
    service, pair = "behind-grafana", ("grafanaaaa", "grafanabbb")
    prometheus.write(
        [
            points(name, {-1: 5.0, 2: 9.0 + place, 4: 12.0 + place}, revision=revision, **of(service), **labels)
            for revision in pair
            for place, (name, labels) in enumerate(series)
        ]
    )
    context = {"cluster": "c", "namespace": "shop", "service": service}
    query = await template_query(renderer, "library-prometheus", template, *pair, context=context)
    through = await prometheus_behind.ask(query)
    assert isinstance(through, Samples)
    assert {row.revision for row in through.rows} == set(pair)
    assert through == await ask(prometheus, query)


def of(service: str) -> dict[str, str]:
    return {"namespace": "shop", "service": service, "pod": "a"}


async def test_a_syntax_error_breaks_the_metric_in_prometheus_words(prometheus_behind: Behind) -> None:
    error = await prometheus_behind.refused(Query("promql", "total: up{\nbad: up"))
    assert isinstance(error, QueryRefusedError)
    assert "parse error" in str(error)
    assert "Grafana at" in str(error)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        (Query("promql", "up{a='$__interval'}"), "which Grafana replaces; write it in another way"),
        (Query("flux", "from(bucket: 1)"), "a data source of type prometheus supports promql, not flux"),
    ],
)
async def test_what_cannot_be_asked_is_refused_before_it_is_sent(
    prometheus_behind: Behind, query: Query, sentence: str
) -> None:
    source = grafana.DataSource(prometheus_behind.uids["promql"], "prometheus")
    assert str(await prometheus_behind.refused(query, data_source=source)).endswith(sentence)


async def test_columns_are_judged_in_the_same_words(
    prometheus: Prometheus, prometheus_behind: Behind, name: str
) -> None:
    prometheus.write([points(name, {1: 1})])
    with pytest.raises(BrokenMetricError) as direct:
        await ask(prometheus, Query("promql", f"total: {name}"))
    assert str(await prometheus_behind.refused(Query("promql", f"total: {name}"))) == str(direct.value)


# -- what no Grafana does on demand ------------------------------------------------------------------------------------


def _frames(change: Callable[[Result], Any]) -> Callable[[Result], Result]:
    def changed(result: Result) -> Result:
        for frame in result.get("frames", ()):
            change(frame)
        return result

    return changed


async def test_a_prometheus_that_is_out_behind_grafana_is_an_outage(prometheus: Prometheus, name: str) -> None:
    async with GrafanaServer(prometheus=prometheus).running() as server:
        server.changed = lambda _: {
            "error": 'Post "https://127.0.0.1:9/api/v1/query": dial tcp 127.0.0.1:9: connect: connection refused',
            "status": 502,
        }
        error = await of_the_tests(server).outage(counting(name))
    assert isinstance(error, DataSourceOutError)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda frame: frame["schema"].update(meta={"notices": [{"severity": "warning", "text": "cut"}]}), "broken"),
        (lambda frame: frame["data"]["values"].pop(), "outage"),
        (lambda frame: frame["data"]["values"][0].pop(), "outage"),
        (lambda frame: frame["schema"]["fields"].pop(0), "outage"),
        (lambda frame: frame["data"]["values"][0].__setitem__(0, "now"), "outage"),
        (lambda frame: frame["data"]["values"][1].__setitem__(0, None), "outage"),
    ],
)
async def test_frames_that_are_none_count_nothing(
    prometheus: Prometheus, name: str, change: Callable[[Result], Any], kind: str
) -> None:
    prometheus.write([points(name, {-1: 1, 1: 2, 2: 3})])
    async with GrafanaServer(prometheus=prometheus, changed=_frames(change)).running() as server:
        with pytest.raises({"outage": SourceOutageError, "broken": BrokenMetricError}[kind]):
            await of_the_tests(server).ask(counting(name))
