"""The renderer and the shipped templates against a real InfluxDB."""

from datetime import timedelta
from typing import Any

import pytest

from controller import registry
from controller.api.metrics import bind, parse_template
from controller.ports import BrokenMetricError, NoData, Row, Samples, Window
from controller.providers.rendering import Renderer
from tests.integration.influx_library import ask, between, requests, seconds
from tests.integration.influx_server import CANARY, LANGUAGES, LOOK, STABLE, T0, Server, by_revision, nanoseconds
from workloads.common.http_metrics import HttpMetrics, Identity
from workloads.common.line_protocol import encode

pytest_plugins = ["tests.integration.influx_fixture"]


def traefik(
    revision: str, code: int, count: int, *, namespace: str = "shop", service: str = "web", index: int = 0
) -> str:
    """A point as Traefik 3.7 pushes it."""
    route = f"httproute-{namespace}-{service}-gw-gateways-public-ep-web-0-9f95e1f22fb140cfc378"
    tags = f"service={route}-svc-{namespace}-{service}-{revision}-{index}@kubernetesgateway,code={code}"
    return f"traefik.service.requests.total,{tags},method=GET,protocol=http count={count}"


async def test_http_errors_counts_what_the_router_answered(running: Server, renderer: Renderer) -> None:
    stable, canary = "stablestab", "canarycana"
    running.write(
        traefik(stable, 200, 90),
        traefik(stable, 404, 5),
        traefik(stable, 500, 2),
        traefik(stable, 502, 1),
        traefik(canary, 200, 4),
        traefik(canary, 503, 1),
        traefik(canary, 200, 1, index=1),
        traefik("otherother", 500, 1000),
        traefik(stable, 500, 1000, namespace="bank"),
        traefik(stable, 500, 1000, namespace="book-shop"),
        traefik(stable, 500, 1000, service="web-two"),
        traefik(stable, 500, 1000, service="my-web"),
    )
    result = await ask(running, renderer, "http-errors", between(stable, canary))
    assert by_revision(result) == {stable: (3, 98), canary: (1, 6)}


async def test_http_errors_reads_the_names_older_routers_give(running: Server, renderer: Renderer) -> None:
    tags = "service=shop-web-olderolder-http-80@kubernetesgateway,code=500,method=GET,protocol=http"
    running.write(f"traefik.service.requests.total,{tags} count=2")
    result = await ask(running, renderer, "http-errors", between("", "olderolder"))
    assert by_revision(result) == {"olderolder": (2, 2)}


async def test_http_errors_without_a_stable_version_counts_the_canary_alone(
    running: Server, renderer: Renderer
) -> None:
    running.write(traefik("firstfirst", 200, 3))
    result = await ask(running, renderer, "http-errors", between("", "firstfirst"))
    assert by_revision(result) == {"firstfirst": (0, 3)}


def histogram(revision: str, *, count: int, up_to: dict[str, int], pod: str = "p") -> str:
    fields = ",".join(f"le_{edge}={number}i" for edge, number in up_to.items())
    tags = f"service=web,revision={revision},pod={pod},route=/"
    return f"http.server.request.duration,{tags} count={count}i,{fields},sum=1.5"


async def test_http_latency_counts_what_is_slower_than_the_threshold(running: Server, renderer: Renderer) -> None:
    stable, canary = "latencysta", "latencycan"
    running.write(
        histogram(stable, count=100, up_to={"0.25": 95, "1": 99}),
        histogram(stable, count=10, up_to={"0.25": 10, "1": 10}, pod="web-2"),
        histogram(canary, count=20, up_to={"0.25": 11, "1": 19}),
        histogram("otherother", count=20, up_to={"0.25": 0, "1": 0}),
    )
    context = between(stable, canary)
    assert by_revision(await ask(running, renderer, "http-latency", context)) == {
        stable: (5, 110),
        canary: (9, 20),
    }
    halves = await ask(running, renderer, "http-latency", context)
    assert isinstance(halves, Samples)
    assert {(row.revision, row.half): row.total for row in halves.rows} == {
        (stable, "a"): 100,
        (stable, "b"): 10,
        (canary, "a"): 20,
    }
    slower = await ask(running, renderer, "http-latency", context, parameters={"threshold": 1})
    assert by_revision(slower) == {stable: (1, 110), canary: (1, 20)}


async def test_http_latency_with_a_threshold_that_is_no_edge_is_broken_and_convicts_nobody(
    running: Server, renderer: Renderer
) -> None:
    running.write(histogram("edgeedgeed", count=100, up_to={"0.25": 95}))
    with pytest.raises(BrokenMetricError):
        await ask(running, renderer, "http-latency", between("", "edgeedgeed"), parameters={"threshold": 0.3})


async def test_http_latency_quantiles_counts_at_every_edge(running: Server, renderer: Renderer) -> None:
    stable, canary = "quantilest", "quantileca"
    running.write(
        histogram(stable, count=100, up_to={"0.05": 50, "0.25": 95, "1": 99}),
        histogram(stable, count=10, up_to={"0.05": 9, "0.25": 10, "1": 10}, pod="web-2"),
        histogram(canary, count=20, up_to={"0.05": 2, "0.25": 11, "1": 19}),
        histogram("otherother", count=20, up_to={"0.05": 0, "0.25": 0, "1": 0}),
        f"http.server.active_requests,service=web,revision={canary},pod=p over_0.25=3i,over_1=1i",
    )
    result = await ask(running, renderer, "http-latency-quantiles", between(stable, canary))
    assert isinstance(result, Samples)
    assert {(row.revision, row.half, row.threshold): (row.bad, row.total) for row in result.rows} == {
        (stable, "a", "0.05"): (50, 100),
        (stable, "b", "0.05"): (1, 10),
        (stable, "a", "0.25"): (5, 100),
        (stable, "b", "0.25"): (0, 10),
        (stable, "a", "1"): (1, 100),
        (stable, "b", "1"): (0, 10),
        (canary, "a", "0.05"): (18, 20),
        (canary, "a", "0.25"): (12, 23),
        (canary, "a", "1"): (2, 21),
    }


class Pod:
    """A pod that reports as the workloads do: their own code counts and writes."""

    def __init__(self, running: Server, revision: str, name: str) -> None:
        self._running = running
        self._metrics = HttpMetrics(Identity("web", revision, name))
        self._open: list[int] = []

    def begins(self, requests: int, *, at: float) -> None:
        self._open += [self._metrics.begin(at) for _ in range(requests)]

    def ends(self, requests: int, *, at: float) -> None:
        for _ in range(requests):
            self._metrics.end(self._open.pop(0), route="/", code=200, now=at)

    def flushes(self, *, at: float) -> None:
        moment = T0 + timedelta(seconds=at)
        points = self._metrics.take(now=at, time_ns=nanoseconds(moment))
        self._running.write(*(encode(point).rpartition(" ")[0] for point in points), at=moment)


async def test_http_latency_counts_a_request_that_hangs_once_and_before_it_ends(
    running: Server, renderer: Renderer
) -> None:
    stable, canary = "hanghangst", "hanghangca"
    good, hanging, dying = Pod(running, stable, "a"), Pod(running, canary, "b"), Pod(running, canary, "c")
    for second in range(10):
        good.begins(3, at=second)
        good.ends(3, at=second + 0.1)
        good.flushes(at=second + 0.9)
        if second < 2:
            hanging.begins(2, at=second + 0.8)
        hanging.flushes(at=second + 0.9)
        if second == 7:
            hanging.ends(4, at=8.2)
    dying.begins(1, at=1)
    dying.flushes(at=1.9)

    async def look(start: float, end: float) -> dict[str, tuple[int, int]]:
        window = Window(T0 + timedelta(seconds=start), T0 + timedelta(seconds=end))
        return by_revision(await ask(running, renderer, "http-latency", between(stable, canary), window=window))

    assert await look(0, 1) == {stable: (0, 3), canary: (0, 0)}
    assert await look(1, 2) == {stable: (0, 3), canary: (3, 3)}
    assert await look(2, 5) == {stable: (0, 9), canary: (2, 2)}
    assert await look(5, 10) == {stable: (0, 15), canary: (0, 0)}
    assert await look(0, 10) == {stable: (0, 30), canary: (5, 5)}


async def test_http_errors_app_counts_what_the_application_answered(running: Server, renderer: Renderer) -> None:
    stable, canary = "appappapps", "appappappc"

    def answered(revision: str, code: int, count: int, service: str = "web") -> str:
        return f"http.server.requests,service={service},revision={revision},pod=p,route=/,code={code} count={count}i"

    running.write(
        answered(stable, 200, 90),
        answered(stable, 404, 5),
        answered(canary, 200, 4),
        answered(canary, 500, 2),
        answered(canary, 503, 1),
        answered(canary, 500, 1000, service="other"),
        answered("otherother", 500, 1000),
    )
    result = await ask(running, renderer, "http-errors-app", between(stable, canary))
    assert by_revision(result) == {stable: (0, 95), canary: (3, 7)}


async def test_http_errors_statsd_counts_what_came_over_telegraf(running: Server, renderer: Renderer) -> None:
    stable, canary = "statsdstab", "statsdcana"

    def counter(revision: str, code: int, value: float, service: str = "web", name: str = "http_requests") -> str:
        return f"{name},metric_type=counter,service={service},revision={revision},code={code} value={value}"

    points = [
        counter(stable, 200, 90),
        counter(canary, 200, 4),
        counter(canary, 503, 3),
        counter(canary, 500, 1000, service="other"),
    ]
    running.write(*points, at=LOOK.start)
    running.write(*points, at=LOOK.end)
    found = await ask(running, renderer, "http-errors-statsd", between(stable, canary))
    assert by_revision(found) == {stable: (0, 90), canary: (3, 7)}
    running.write(counter(stable, 500, 2, name="answers"), counter(stable, 200, 3, name="answers"))
    parameters = {"measurement": "answers"}
    found = await ask(running, renderer, "http-errors-statsd", between(stable, canary), parameters=parameters)
    assert by_revision(found) == {stable: (2, 5)}


async def test_a_late_point_is_counted_and_one_that_came_twice_once(running: Server, renderer: Renderer) -> None:
    stable, canary = "latelatest", "latelateca"
    running.write(requests(stable, 10), at=seconds(2))
    running.write(requests(stable, 10), at=seconds(2))
    running.write(requests(stable, 5), at=seconds(1))
    found = await ask(running, renderer, "http-errors-app", between(stable, canary))
    assert by_revision(found) == {stable: (0, 15)}


SHIPPED = [
    "http-errors-statsd",
    "log-errors",
    "restarts",
    "cpu-per-request",
    "examples/sign-ups",
    "http-errors",
    "http-latency",
    "http-latency-quantiles",
    "http-errors-app",
    "client-failures",
    "job-failures",
    "job-duration",
]


@pytest.mark.parametrize("name", SHIPPED)
async def test_a_shipped_template_finds_nothing_where_nothing_is(
    running: Server, renderer: Renderer, name: str
) -> None:
    assert await ask(running, renderer, name, between("nosuchstab", "nosuchcana")) == NoData()


NASTY = ['") |> drop(columns: ["revision"]) //', "') OR 1=1 --", "\\", '\\"', "${1 + 1}", "a\nb", "/x", "$", "größe"]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("value", NASTY)
async def test_a_value_is_found_as_itself_and_changes_no_query(
    running: Server, renderer: Renderer, measurement: str, language: str, value: Any
) -> None:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    running.write(f'{measurement},revision={STABLE} route="{escaped}",bad=1i,total=2i')
    flux = """from(bucket: {{ bucket }}) |> range(start: {{ start }}, stop: {{ stop }})
      |> filter(fn: (r) => r._measurement == {{ name }})
      |> pivot(rowKey: ["_time", "revision"], columnKey: ["_field"], valueColumn: "_value")
      |> filter(fn: (r) => r.route == {{ route }} and r.route =~ /^{{ route | regex }}$/)
      |> keep(columns: ["revision", "bad", "total"])"""
    influxql = """SELECT "bad", "total" FROM {{ name | identifier }}
      WHERE time >= {{ start }} AND time < {{ stop }} AND "route" = {{ route }} AND "route" =~ /^{{ route | regex }}$/
      GROUP BY "revision" """
    spec = {
        "language": language,
        "query": flux if language == "flux" else influxql,
        "parameters": [{"name": "name"}, {"name": "route"}],
    }
    template = parse_template(spec, "spec", languages=LANGUAGES, kinds=registry.kinds())
    context = between(STABLE, CANARY)

    async def found(route: str) -> Samples | NoData:
        values = bind(template, {"name": measurement, "route": route}, "parameters")
        return await running.ask(await renderer.render(template, values, context))

    if "\n" not in value:  # a regular expression takes no control character
        assert await found(value) == Samples((Row(STABLE, 1, 2),))
        assert await found(value + "x") == NoData()
