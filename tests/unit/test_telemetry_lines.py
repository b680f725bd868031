"""Line protocol and the counts that are written in it."""

import pytest

from workloads.common.http_metrics import ACTIVE, DURATION, EDGES, OVERDUE, REQUESTS, HttpMetrics, Identity
from workloads.common.line_protocol import Point, encode

WHO = Identity(service="shop", revision="abcdefghij", pod="shop-1")


def test_a_point_is_one_line_with_sorted_tags_and_typed_fields() -> None:
    point = Point("m", {"count": 3, "sum": 1.0, "small": 1e-7}, 17, {"b": "2", "a": "1"})
    assert encode(point) == "m,a=1,b=2 count=3i,sum=1.0,small=1e-07 17"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a b", r"a\ b"),
        ("a,b=c", r"a\,b\=c"),
        ("ends with \\", r"ends\ with\ "),
        ("two\nlines\ttab", "two_lines_tab"),
        ("Ä/ø", "Ä/ø"),
        ('"quoted"', '"quoted"'),
    ],
)
def test_no_tag_value_breaks_a_line(value: str, written: str) -> None:
    line = encode(Point("m", {"count": 1}, 17, {"tag": value}))
    assert line == f"m,tag={written} count=1i 17"


def test_an_empty_tag_is_left_out() -> None:
    assert encode(Point("m", {"count": 1}, 17, {"pod": "", "code": "200"})) == "m,code=200 count=1i 17"


def test_names_are_escaped_too() -> None:
    assert encode(Point("a m,n", {"f =": 1}, 17, {"t g": "v"})) == r"a\ m\,n,t\ g=v f\ \==1i 17"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**63])
def test_what_no_field_can_hold_is_an_error(value: float) -> None:
    with pytest.raises(ValueError, match="field x"):
        encode(Point("m", {"x": value}, 17))


def test_a_point_without_fields_is_an_error() -> None:
    with pytest.raises(ValueError, match="no field"):
        encode(Point("m", {}, 17))


def taken(metrics: HttpMetrics, *, now: float = 1_000.0) -> dict[str, Point]:
    return {point.measurement: point for point in metrics.take(now=now, time_ns=17)}


def served(metrics: HttpMetrics, seconds: float, *, code: int = 200, route: str = "/") -> None:
    metrics.end(metrics.begin(100.0), route=route, code=code, now=100.0 + seconds)


def test_a_duration_at_an_edge_counts_under_it() -> None:
    metrics = HttpMetrics(WHO)
    for edge in EDGES:
        ticket = metrics.begin(0.0)
        metrics.end(ticket, route="/", code=200, now=edge)
    fields = taken(metrics)[DURATION].fields
    assert [fields[f"le_{edge:g}"] for edge in EDGES] == list(range(1, len(EDGES) + 1))
    assert fields["count"] == len(EDGES)
    assert fields["sum"] == pytest.approx(sum(EDGES))


def test_buckets_are_cumulative_and_what_is_beyond_the_last_edge_is_in_the_count_alone() -> None:
    metrics = HttpMetrics(WHO)
    for seconds in (0.001, 0.3, 0.3, 11.0):
        served(metrics, seconds)
    fields = taken(metrics)[DURATION].fields
    assert (fields["le_0.005"], fields["le_0.25"], fields["le_0.5"], fields["le_10"], fields["count"]) == (
        1,
        1,
        3,
        3,
        4,
    )


def test_field_names_are_those_of_the_contract() -> None:
    metrics = HttpMetrics(WHO)
    served(metrics, 0.1)
    names = "le_0.005 le_0.01 le_0.025 le_0.05 le_0.075 le_0.1 le_0.25 le_0.5 le_0.75 le_1 le_2.5 le_5 le_7.5 le_10"
    assert list(taken(metrics)[DURATION].fields) == ["count", *names.split(), "sum"]


def test_counts_are_deltas() -> None:
    metrics = HttpMetrics(WHO)
    served(metrics, 0.1)
    served(metrics, 0.1, code=503)
    first = metrics.take(now=1.0, time_ns=17)
    assert {point.tags["code"]: point.fields["count"] for point in first if point.measurement == REQUESTS} == {
        "200": 1,
        "503": 1,
    }
    served(metrics, 0.1)
    second = taken(metrics)
    assert second[REQUESTS].fields == {"count": 1}
    assert second[DURATION].fields["count"] == 1


def test_an_idle_server_still_says_that_it_lives() -> None:
    metrics = HttpMetrics(WHO)
    (heartbeat,) = metrics.take(now=1.0, time_ns=17)
    assert heartbeat.measurement == ACTIVE
    assert set(heartbeat.fields.values()) == {0}


def test_a_hanging_request_is_seen_growing_older_before_it_ends() -> None:
    metrics = HttpMetrics(WHO)
    metrics.begin(0.0)
    metrics.begin(2.0)
    young = metrics.begin(2.7)
    fields = taken(metrics, now=2.8)[ACTIVE].fields
    assert fields["active"] == 3
    assert [fields[f"over_{edge:g}"] for edge in OVERDUE] == [2, 2, 2, 2, 1, 1, 0, 0, 0]
    metrics.end(young, route="/", code=200, now=3.0)
    assert taken(metrics, now=3.0)[ACTIVE].fields["active"] == 2


def test_every_point_names_service_revision_and_pod_and_never_the_track() -> None:
    metrics = HttpMetrics(WHO)
    served(metrics, 0.1)
    tags = {point.measurement: set(point.tags) for point in metrics.take(now=1.0, time_ns=17)}
    common = {"service", "revision", "pod"}
    assert tags == {ACTIVE: common, DURATION: common | {"route"}, REQUESTS: common | {"route", "code"}}
