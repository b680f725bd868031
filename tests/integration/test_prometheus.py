"""Counts out of a real Prometheus: generated samples at known moments, and what is made of them."""

from datetime import timedelta
from itertools import pairwise

import pytest

from controller.ports import BrokenMetricError, NoData, Query, Row, Samples, SourceOutageError, Window
from hack.node import process
from hack.node.prometheus import STALE, Prometheus
from tests.frozen import frozen
from tests.integration.prometheus_source import CANARY, LOOK, STABLE, T0, ask, by_revision, points, source

pytest_plugins = ["tests.integration.prometheus_fixture"]

_names = iter(range(10**6))


@pytest.fixture
def name() -> str:
    """Of a series; another for each test, so that one server is enough."""
    return f"requests_{next(_names)}_total"


def counting(name: str) -> Query:
    return Query("promql", f'total: {name}{{revision!=""}}\nbad: {name}{{revision!="",code=~"5.."}}')


async def test_counts_are_those_of_the_samples_and_nothing_is_extrapolated(prometheus: Prometheus, name: str) -> None:
    prometheus.write(
        [
            points(name, {-2: 100, 1: 103, 4: 110}, code="200", pod="a"),
            points(name, {-2: 50, 1: 51, 4: 51}, code="200", pod="b"),
            points(name, {1: 1, 4: 2}, code="500", pod="a"),
            points(name, {2: 4}, code="200", pod="c", revision=CANARY),
            points(name, {-2: 7, 1: 9, 4: 20}, code="500", pod="d", revision=""),
        ]
    )
    assert by_revision(await ask(prometheus, counting(name))) == {STABLE: (2, 13), CANARY: (0, 4)}


async def test_windows_that_touch_count_every_increment_once(prometheus: Prometheus, name: str) -> None:
    values = {second * 0.25: float(second * (second + 1) // 2) for second in range(-4, 81)}
    prometheus.write([points(name, {second: value + 10 for second, value in values.items()})])
    ends = [T0 + timedelta(seconds=seconds) for seconds in (0, 5, 7.25, 7.3, 7.301, 12, 20.25)]
    seen = 0
    async with source(prometheus) as provider:
        for start, end in pairwise(ends):
            for _, total in by_revision(await provider.query(counting(name), Window(start, end))).values():
                seen += total
    assert seen == values[20] - values[-0.25]


async def test_a_window_holds_its_start_and_not_its_end(prometheus: Prometheus, name: str) -> None:
    prometheus.write([points(name, {-1: 10, -0.001: 11, 0: 13, 4.999: 17, 5: 25, 6: 41})])
    assert by_revision(await ask(prometheus, counting(name))) == {STABLE: (0, 17 - 11)}


async def test_a_reset_counts_from_zero(prometheus: Prometheus, name: str) -> None:
    prometheus.write([points(name, {-1: 100, 1: 104, 2: 3, 3: 5, 4: 1})])
    assert by_revision(await ask(prometheus, counting(name))) == {STABLE: (0, 4 + 3 + 2 + 1)}


async def test_a_pod_that_ends_is_counted_to_its_last_scrape_and_no_further(prometheus: Prometheus, name: str) -> None:
    prometheus.write(
        [
            points(name, {-1: 100, 1: 104, 2: STALE}, pod="gone"),
            points(name, {-1: 10, 1: 11, 6: 12}, pod="stays"),
        ]
    )
    assert by_revision(await ask(prometheus, counting(name))) == {STABLE: (0, 5)}
    later = Window(LOOK.end, LOOK.end + timedelta(seconds=5))
    assert by_revision(await ask(prometheus, counting(name), later)) == {STABLE: (0, 1)}


async def test_scrapes_that_failed_for_a_quarter_of_an_hour_lose_nothing(prometheus: Prometheus, name: str) -> None:
    prometheus.write([points(name, {-900: 100, 3: 150})])
    assert by_revision(await ask(prometheus, counting(name))) == {STABLE: (0, 50)}


async def test_late_and_duplicate_samples_change_nothing_but_what_was_missing(
    prometheus: Prometheus, name: str
) -> None:
    prometheus.write([points(name, {-1: 100, 4: 110})])
    assert by_revision(await ask(prometheus, counting(name))) == {STABLE: (0, 10)}
    prometheus.write([points(name, {4: 110})])
    prometheus.write([points(name, {2: 105})])
    assert by_revision(await ask(prometheus, counting(name))) == {STABLE: (0, 10)}
    half = Window(LOOK.start, LOOK.start + timedelta(seconds=3))
    assert by_revision(await ask(prometheus, counting(name), half)) == {STABLE: (0, 5)}


async def test_histograms_have_a_row_for_each_edge(prometheus: Prometheus, name: str) -> None:
    prometheus.write(
        [
            points(f"{name}_count", {-1: 100, 4: 110}),
            points(f"{name}_bucket", {-1: 90, 4: 94}, le="0.1"),
            points(f"{name}_bucket", {-1: 98, 4: 107}, le="0.25"),
            points(f"{name}_bucket", {-1: 100, 4: 110}, le="+Inf"),
        ]
    )
    text = f"total: {name}_count\ngood per le: {name}_bucket"
    result = await ask(prometheus, Query("promql", text))
    assert result == Samples((Row(STABLE, 6, 10, "0.1"), Row(STABLE, 1, 10, "0.25")))
    with pytest.raises(BrokenMetricError, match="no series in the column good"):
        await ask(prometheus, Query("promql", f'total: {name}_count\ngood: {name}_bucket{{le="0.3"}}'))


async def test_a_count_of_a_broken_metric_is_never_a_look(prometheus: Prometheus, name: str) -> None:
    prometheus.write([points(name, {-1: 0, 4: 10**15})])
    with pytest.raises(BrokenMetricError, match=r"column total is .*, which is not between 0 and 10\^9"):
        await ask(prometheus, counting(name))


async def test_nothing_in_the_window_is_no_data_and_a_counter_that_rests_is_a_row(
    prometheus: Prometheus, name: str
) -> None:
    assert await ask(prometheus, counting(name)) == NoData()
    prometheus.write([points(name, {-1: 100, 4: 100})])
    assert by_revision(await ask(prometheus, counting(name))) == {STABLE: (0, 0)}


@pytest.mark.parametrize("text", ["total: sum(x)\nbad: y", "total: x{\nbad: y", "total: rate(x[1m])\nbad: y"])
async def test_what_is_no_selector_breaks_the_metric_in_the_servers_words(prometheus: Prometheus, text: str) -> None:
    with pytest.raises(BrokenMetricError, match=r"^Prometheus at 127\.0\.0\.1:\d+ cannot answer the query \(400\): "):
        await ask(prometheus, Query("promql", text))


async def test_a_wrong_password_is_an_outage_that_does_not_show_it(prometheus: Prometheus, name: str) -> None:
    with pytest.raises(SourceOutageError, match=r"refuses the credentials \(401\)") as caught:
        await ask(prometheus, counting(name), password="wrong-and-secret")  # noqa: S106 - of nobody
    assert "wrong-and-secret" not in str(caught.value)


async def test_a_certificate_that_nobody_vouches_for_is_an_outage(prometheus: Prometheus, name: str) -> None:
    with pytest.raises(SourceOutageError, match="cannot be reached: no connection"):
        await ask(prometheus, counting(name), ca_secret=None)


async def test_ten_thousand_series_are_too_many_to_read(prometheus: Prometheus, name: str) -> None:
    prometheus.write([points(name, {-1: 1, 2: 2, 4: 3}, pod=f"pod-{number:>06}-{'x' * 60}") for number in range(9000)])
    with pytest.raises(BrokenMetricError, match="answered with more than 1048576 bytes"):
        await ask(prometheus, counting(name))


async def test_a_heartbeat_is_a_series_that_has_a_sample(prometheus: Prometheus, name: str) -> None:
    prometheus.write([points(name, {-1: 1, 4: 1})])
    async with source(prometheus) as provider:
        assert await provider.has_rows(Query("promql", name), LOOK)
        assert not await provider.has_rows(Query("promql", name), Window(LOOK.end, LOOK.end + timedelta(seconds=9)))


async def test_a_frozen_server_is_an_outage_after_the_timeout(prometheus: Prometheus, name: str) -> None:
    identity = process.running(process.record(prometheus.directory, "prometheus"))
    assert identity is not None
    with frozen(identity.pid), pytest.raises(SourceOutageError, match=r"did not answer within 0\.5 s"):
        await ask(prometheus, counting(name), timeout_s=0.5)
