"""Each shipped template counts exactly: at a window's edges, and with points that come late or twice, that lack a tag,
or that are of another namespace or another cluster in the same bucket.
"""

from dataclasses import dataclass

import pytest
import yaml

from controller.ports import Samples, Window
from controller.providers.rendering import Renderer
from tests.integration.influx_library import LIBRARY, ask, between, seconds
from tests.integration.influx_server import LOOK, Server

pytest_plugins = ["tests.integration.influx_fixture"]

NEXT = Window(LOOK.end, seconds(10))
BOTH = Window(LOOK.start, NEXT.end)
BEFORE, WITHIN, AFTER = (-0.000001,), (0, 1.5, 4.999999), (5, 7)
"""Seconds after the first window's start."""
LATE = 2.5
OF = "service=web,revision={revision}"
NOBODY = ("service=web", "revision={revision}")
"""Of a point that lacks one of both tags nobody knows whose it is."""


@dataclass(frozen=True)
class Flush:
    """What a version writes at one moment, with the counts of that, and lines that lack a tag, with theirs."""

    lines: tuple[str, ...]
    counts: tuple[int, int]
    lacking: tuple[tuple[str, tuple[int, int]], ...]


def flush(measurement: str, *points: str, optional: str = "", of_optional: tuple[int, int] = (0, 0)) -> Flush:
    """Three bad of ten. `points`: their other tags, and fields. `optional`: one that lacks another tag."""
    lines = tuple(f"{measurement},{OF}{point}" for point in points)
    lost = tuple((f"{measurement},{tags}{point}", (0, 0)) for tags in NOBODY for point in points)
    more = ((f"{measurement},{OF}{optional}", of_optional),) if optional else ()
    return Flush(lines, (3, 10), lost + more)


def router(code: str, count: int, namespace: str = "shop") -> str:
    place = f"httproute-{namespace}-web-gw-0-9f95e1f22fb1-svc-{namespace}-web-{{revision}}-0@kubernetesgateway"
    return f"traefik.service.requests.total,service={place}{code},method=GET count={count}"


FLUSHES = {
    "http-errors": Flush(
        (router(",code=200", 7), router(",code=503", 3), router(",code=503", 900, "bank")),
        (3, 10),
        ((router("", 4), (0, 4)), ("traefik.service.requests.total,code=500,method=GET count=900", (0, 0))),
    ),
    "http-errors-app": flush(
        "http.server.requests", ",code=200 count=7i", ",code=503 count=3i", optional=" count=4i", of_optional=(0, 4)
    ),
    "http-errors-statsd": flush(
        "http_requests", ",code=200 value=7", ",code=503 value=3", optional=" value=4", of_optional=(0, 4)
    ),
    "http-latency": flush(
        "http.server.request.duration",
        ",pod=web-b count=10i,le_0.25=7i",
        optional=" count=6i,le_0.25=5i",
        of_optional=(1, 6),
    ),
    "http-latency-quantiles": flush(
        "http.server.request.duration",
        ",pod=web-b count=10i,le_0.25=7i",
        optional=" count=6i,le_0.25=5i",
        of_optional=(1, 6),
    ),
    "client-failures": flush("client.outcome", ",pod=b total=10i,bad=3i"),
    "job-failures": flush("job.outcome", ",pod=b first_attempts=10i,first_attempt_failed=3i"),
    "job-duration": flush(
        "messaging.process.duration", ",attempt=first count=10i,le_1=7i", optional=" count=900i,le_1=0i"
    ),
    "log-errors": flush(
        "log.messages", ",level=info count=7i", ",level=error count=3i", optional=" count=4i", of_optional=(0, 4)
    ),
    "examples/sign-ups": flush("invitation.outcome", " sent=10i,signed_up=7i"),
}
COUNTERS = ("restarts", "cpu-per-request")
"""Of the kubelet: differences of what is written."""
_revisions = (f"{number:010d}".translate(str.maketrans("0123456789", "efghijklmn")) for number in range(10**6))


@pytest.fixture
def three() -> list[str]:
    """Revisions: stable's, the canary's, and one of a Release of this name in another cluster or namespace."""
    return [next(_revisions) for _ in range(3)]


def test_no_template_is_forgotten() -> None:
    shipped = yaml.safe_load((LIBRARY / "kustomization.yaml").read_text())["resources"]
    assert {*FLUSHES, *COUNTERS} == {name.removesuffix(".yaml") for name in shipped} | {"examples/sign-ups"}


@pytest.mark.parametrize("name", FLUSHES)
async def test_points_count_once_in_their_window_and_for_their_version(
    running: Server, renderer: Renderer, three: list[str], name: str
) -> None:
    flushed = FLUSHES[name]
    stable, canary, _ = three

    def write(second: float) -> None:
        running.write(*(line.format(revision=one) for one in three for line in flushed.lines), at=seconds(second))

    async def counted(window: Window) -> tuple[int, int]:
        """The same for both, in flushes and what was written without a tag."""
        found = await ask(running, renderer, name, between(stable, canary), window=window)
        assert isinstance(found, Samples)
        assert {row.revision for row in found.rows} == {stable, canary}
        ours = {
            revision: [row for row in found.rows if row.revision == revision and row.threshold in ("", "0.25")]
            for revision in (stable, canary)
        }
        sums = {(sum(row.bad for row in rows), sum(row.total for row in rows)) for rows in ours.values()}
        assert len(sums) == 1
        return sums.pop()

    def times(flushes: int, more: tuple[int, int] = (0, 0)) -> tuple[int, int]:
        return flushes * flushed.counts[0] + more[0], flushes * flushed.counts[1] + more[1]

    for second in (*BEFORE, *WITHIN, *AFTER):
        write(second)
    assert await counted(LOOK) == times(len(WITHIN))
    write(WITHIN[1])
    assert await counted(LOOK) == times(len(WITHIN)), "twice is once"
    write(LATE)
    assert await counted(LOOK) == times(len(WITHIN) + 1), "late is in time where it is still asked for"
    assert await counted(NEXT) == times(len(AFTER))
    assert await counted(BOTH) == times(len(WITHIN) + 1 + len(AFTER))
    lacking = [line.format(revision=one) for line, _ in flushed.lacking for one in (stable, canary)]
    running.write(*lacking, at=seconds(3))
    more = (sum(counts[0] for _, counts in flushed.lacking), sum(counts[1] for _, counts in flushed.lacking))
    assert await counted(LOOK) == times(len(WITHIN) + 1, more)


@pytest.mark.parametrize("name", COUNTERS)
async def test_counters_count_each_increment_once(
    running: Server, renderer: Renderer, three: list[str], name: str
) -> None:
    stable, canary, _ = three
    field, one = {
        "restarts": ("restarts_total", 1),
        "cpu-per-request": ("cpu_usage_core_nanoseconds", 10**8),
    }[name]

    def write(second: float, count: int) -> None:
        at = seconds(second)
        for revision in three:
            pod = f"pod_name=web-{revision}-5d4f-x2x2x,container_name=main {field}={count * one}i"
            running.write(
                f"kubernetes_pod_container,namespace=shop,{pod}",
                f"kubernetes_pod_container,namespace=bank,{pod.replace('=main', '=other')}",
                f"kubernetes_pod_container,namespace=shop,container_name=main {field}={count * one}i",
                f"kubernetes_pod_container,{pod}",
                f"http.server.requests,service=web,revision={revision},code=200 count=7i",
                at=at,
            )

    async def counted(window: Window) -> set[tuple[int, int]]:
        found = await ask(running, renderer, name, between(stable, canary), window=window)
        assert isinstance(found, Samples)
        assert {row.revision for row in found.rows} == {stable, canary}
        return {(row.bad, row.total) for row in found.rows}

    # a container that is made anew counts from zero
    for second, count in ((-0.000001, 5), (0, 6), (1.5, 8), (4.999999, 9), (5, 12), (7, 0), (8, 2)):
        write(second, count)
    assert await counted(LOOK) == {(4, 4 + 3 * 7)}
    write(1.5, 8)
    assert await counted(LOOK) == {(4, 4 + 3 * 7)}, "twice is once"
    write(3, 9)
    assert await counted(LOOK) == {(4, 4 + 4 * 7)}, "a late point moves an increment, and adds none"
    assert await counted(NEXT) == {(5, 5 + 3 * 7)}
    assert await counted(BOTH) == {(9, 9 + 7 * 7)}
