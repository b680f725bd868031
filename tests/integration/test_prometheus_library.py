"""The templates of gitops/library-prometheus on a real Prometheus, with generated samples."""

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from controller.ports import BrokenMetricError, NoData, Row, Samples, Window
from controller.providers.rendering import Renderer
from hack.node.prometheus import Prometheus
from tests.integration.library import GITOPS, template_query
from tests.integration.prometheus_source import LOOK, T0, ask, by_revision, points

pytest_plugins = ["tests.integration.prometheus_fixture", "tests.integration.influx_fixture"]

FOLDER = "library-prometheus"
SHIPPED = yaml.safe_load((GITOPS / FOLDER / "kustomization.yaml").read_text())["resources"]
NAMES = [file.removesuffix(".yaml") for file in SHIPPED]
_services = iter(range(10**6))


@pytest.fixture
def service() -> str:
    """Another for each test, so that one server is enough."""
    return f"web{next(_services)}"


REVISIONS = iter(f"{number:010d}".translate(str.maketrans("0123456789", "abcdefghij")) for number in range(10**6))


@pytest.fixture
def pair() -> tuple[str, str]:
    return next(REVISIONS), next(REVISIONS)


async def counted(
    running: Prometheus,
    renderer: Renderer,
    name: str,
    service: str,
    pair: tuple[str, str],
    *,
    parameters: Mapping[str, Any] | None = None,
    window: Window = LOOK,
) -> Samples | NoData:
    context = {"cluster": "c", "namespace": "shop", "service": service}
    query = await template_query(renderer, FOLDER, name, *pair, parameters=parameters, context=context)
    return await ask(running, query, window)


def routed(service: str, revision: str, *, namespace: str = "shop", index: int = 0) -> str:
    route = f"httproute-{namespace}-{service}-gw-gateways-public-ep-web-0-9f95e1f22fb140cfc378"
    return f"{route}-svc-{namespace}-{service}-{revision}-{index}@kubernetesgateway"


GROWS = {-1: 100.0, 0: 103.0, 4: 110.0, 5: 1000.0}
"""By ten within the look: a sample at its start counts, one at its end does not."""


async def test_http_errors_counts_what_the_router_answered(
    prometheus: Prometheus, renderer: Renderer, service: str, pair: tuple[str, str]
) -> None:
    stable, canary = pair
    name = "traefik_service_requests_total"
    prometheus.write(
        [
            points(name, GROWS, revision="", service=routed(service, stable), code="200"),
            points(name, {1: 1, 4: 2}, revision="", service=routed(service, stable), code="502"),
            points(name, {1: 4}, revision="", service=routed(service, canary), code="200"),
            points(name, {2: 3}, revision="", service=routed(service, canary, index=1), code="503"),
            points(name, {1: 900}, revision="", service=routed(service, stable, namespace="bank"), code="500"),
            points(name, {1: 900}, revision="", service=routed(service, stable, namespace="book-shop"), code="500"),
            points(name, {1: 900}, revision="", service=routed(f"my-{service}", stable), code="500"),
            points(name, {1: 900}, revision="", service=routed(service, "zzzzzzzzzz"), code="500"),
        ]
    )
    assert by_revision(await counted(prometheus, renderer, "http-errors", service, pair)) == {
        stable: (2, 12),
        canary: (3, 7),
    }


async def test_a_first_version_beside_itself_is_counted_once(
    prometheus: Prometheus, renderer: Renderer, service: str, pair: tuple[str, str]
) -> None:
    new, _ = pair
    prometheus.write(
        [points("traefik_service_requests_total", GROWS, revision="", service=routed(service, new), code="500")]
    )
    assert by_revision(await counted(prometheus, renderer, "http-errors", service, (new, new))) == {new: (10, 10)}


def of(service: str, revision: str, **labels: str) -> dict[str, str]:
    return {"namespace": "shop", "service": service, "revision": revision, "pod": "a", **labels}


OTEL = "http_server_request_duration_seconds"
PROCESSED = "messaging_process_duration_seconds"


FAILING = {
    "http-errors-app": (f"{OTEL}_count", "http_response_status_code", "204", "503"),
    "job-failures": (f"{PROCESSED}_count", "error_type", "", "timeout"),
    "log-errors": ("log_messages_total", "level", "warning", "CRITICAL"),
}


@pytest.mark.parametrize("name", FAILING)
async def test_what_failed_is_counted(
    prometheus: Prometheus, renderer: Renderer, service: str, pair: tuple[str, str], name: str
) -> None:
    metric, label, good, bad = FAILING[name]
    stable, canary = pair
    elsewhere = {**of(service, stable, **{label: bad}), "namespace": "bank"}
    prometheus.write(
        [
            points(metric, GROWS, **of(service, stable, **{label: good})),
            points(metric, {-1: 5, 3: 1}, **of(service, stable, **{label: bad})),
            points(metric, {1: 4}, **of(service, canary, **{label: good})),
            points(metric, {2: 3}, **of(service, canary, **{label: bad})),
            points(metric, {1: 900}, **elsewhere),
            points(metric, {1: 900}, **of("other", stable, **{label: bad})),
            points(metric, {1: 900}, **of(service, "zzzzzzzzzz", **{label: bad})),
        ]
    )
    assert by_revision(await counted(prometheus, renderer, name, service, pair)) == {stable: (1, 11), canary: (3, 7)}


def histogram(metric: str, edges: Mapping[str, Mapping[float, float]], **labels: str) -> list[Any]:
    return [
        points(f"{metric}_count", edges["+Inf"], **labels),
        *(points(f"{metric}_bucket", samples, **labels, le=edge) for edge, samples in edges.items()),
    ]


@pytest.mark.parametrize(
    ("name", "metric", "edge", "written"),
    [
        ("http-latency", OTEL, 0.25, "0.25"),
        ("http-latency", OTEL, 1, "1.0"),
        ("http-latency", OTEL, 1, "1"),
        ("job-duration", PROCESSED, 2.5, "2.5"),
    ],
)
async def test_what_was_slow_is_counted_and_another_edge_is_a_broken_metric(
    prometheus: Prometheus,
    renderer: Renderer,
    service: str,
    pair: tuple[str, str],
    name: str,
    metric: str,
    edge: float,
    written: str,
) -> None:
    stable, canary = pair
    prometheus.write(
        [
            *histogram(metric, {written: {-1: 90, 3: 98}, "+Inf": {-1: 100, 3: 110}}, **of(service, stable)),
            *histogram(metric, {written: {2: 1}, "+Inf": {2: 5}}, **of(service, canary)),
        ]
    )
    found = await counted(prometheus, renderer, name, service, pair, parameters={"threshold": edge})
    assert by_revision(found) == {stable: (2, 10), canary: (4, 5)}
    with pytest.raises(BrokenMetricError, match="no series in the column good"):
        await counted(prometheus, renderer, name, service, pair, parameters={"threshold": edge + 1})


async def test_http_latency_router_counts_at_the_router(
    prometheus: Prometheus, renderer: Renderer, service: str, pair: tuple[str, str]
) -> None:
    stable, canary = pair
    metric = "traefik_service_request_duration_seconds"
    prometheus.write(
        [
            *histogram(
                metric,
                {"0.3": {-1: 90, 3: 98}, "+Inf": {-1: 100, 3: 110}},
                service=routed(service, stable),
                revision="",
                code="200",
            ),
            *histogram(
                metric, {"0.3": {2: 1}, "+Inf": {2: 5}}, service=routed(service, canary), revision="", code="200"
            ),
        ]
    )
    found = await counted(prometheus, renderer, "http-latency-router", service, pair)
    assert by_revision(found) == {stable: (2, 10), canary: (4, 5)}


async def test_http_latency_quantiles_has_a_row_for_each_edge(
    prometheus: Prometheus, renderer: Renderer, service: str, pair: tuple[str, str]
) -> None:
    stable, canary = pair
    prometheus.write(
        [
            *histogram(
                OTEL, {"0.1": {-1: 80, 3: 84}, "1.0": {-1: 90, 3: 98}, "+Inf": {-1: 100, 3: 110}}, **of(service, stable)
            ),
            *histogram(OTEL, {"0.1": {2: 1}, "1.0": {2: 4}, "+Inf": {2: 5}}, **of(service, canary)),
        ]
    )
    found = await counted(prometheus, renderer, "http-latency-quantiles", service, pair)
    assert isinstance(found, Samples)
    assert set(found.rows) == {
        Row(stable, 6, 10, "0.1"),
        Row(stable, 2, 10, "1"),
        Row(canary, 4, 5, "0.1"),
        Row(canary, 1, 5, "1"),
    }


async def test_restarts_are_counted_among_requests(
    prometheus: Prometheus, renderer: Renderer, service: str, pair: tuple[str, str]
) -> None:
    stable, canary = pair
    metric = "kube_pod_container_status_restarts_total"

    def pod(name: str, namespace: str = "shop") -> dict[str, str]:
        return {"namespace": namespace, "pod": name, "container": "main", "revision": ""}

    prometheus.write(
        [
            points(f"{OTEL}_count", GROWS, **of(service, stable)),
            points(f"{OTEL}_count", {1: 4}, **of(service, canary)),
            points(metric, {-1: 7, 3: 7}, **pod(f"{service}-{stable}-5d4f-x2x2x")),
            points(metric, {-1: 0, 3: 2}, **pod(f"{service}-{canary}-5d4f-x2x2x")),
            points(metric, {-1: 0, 3: 9}, **pod(f"{service}-{canary}-5d4f-x2x2x", "bank")),
            points(metric, {-1: 0, 3: 9}, **pod(f"my-{service}-{canary}-5d4f-x2x2x")),
        ]
    )
    found = await counted(prometheus, renderer, "restarts", service, pair)
    assert by_revision(found) == {stable: (0, 10), canary: (2, 6)}


async def test_cpu_per_request_counts_whole_ticks_that_add_up(
    prometheus: Prometheus, renderer: Renderer, service: str, pair: tuple[str, str]
) -> None:
    stable, canary = pair
    cpu = {second: 100 + 0.37 * second for second in range(-1, 10)}
    prometheus.write(
        [
            points("process_cpu_seconds_total", cpu, **of(service, stable)),
            points("process_cpu_seconds_total", {-1: 0, 4: 2.05}, **of(service, canary)),
            points(f"{OTEL}_count", {-1: 100, 9: 140}, **of(service, stable)),
            points(f"{OTEL}_count", {-1: 0, 4: 5}, **of(service, canary)),
        ]
    )
    whole = Window(T0, T0 + 2 * (LOOK.end - LOOK.start))
    looks = [LOOK, Window(LOOK.end, whole.end)]
    found = [
        by_revision(await counted(prometheus, renderer, "cpu-per-request", service, pair, window=w)) for w in looks
    ]
    together = by_revision(await counted(prometheus, renderer, "cpu-per-request", service, pair, window=whole))
    ticks = int(103.33 * 10) - int(99.63 * 10)
    assert together == {stable: (ticks, ticks + 40), canary: (20, 25)}
    assert tuple(map(sum, zip(*(one[stable] for one in found), strict=True))) == together[stable]


@pytest.mark.parametrize("name", NAMES)
async def test_a_shipped_template_finds_nothing_where_nothing_is(
    prometheus: Prometheus, renderer: Renderer, service: str, pair: tuple[str, str], name: str
) -> None:
    assert await counted(prometheus, renderer, name, service, pair) == NoData()


NASTY = ['"} or vector(1) #', '\\"', "\\", "a|b", ".*", "größe"]


@pytest.mark.parametrize("service", NASTY)
async def test_a_value_changes_no_query(
    prometheus: Prometheus, renderer: Renderer, pair: tuple[str, str], service: str
) -> None:
    stable, _ = pair
    prometheus.write(
        [
            points(f"{OTEL}_count", GROWS, **of(service, stable)),
            points(f"{OTEL}_count", GROWS, **of(service + "x", stable)),
        ]
    )
    assert by_revision(await counted(prometheus, renderer, "http-errors-app", service, pair)) == {stable: (0, 10)}
