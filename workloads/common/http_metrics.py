"""What an HTTP server counts for canary analysis, and nothing that names a user or a request.

Counts are deltas: a flush carries what happened since the flush before, so sums
over any window and any set of pods are plain sums, and a pod that restarts does
not run a counter backwards. Buckets are cumulative over the edges and fixed, so
histograms of two versions can be compared edge by edge.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass

from workloads.common.histogram import Histogram
from workloads.common.line_protocol import Point

EDGES = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Seconds; OpenTelemetry's advice for http.server.request.duration."""

OVERDUE = tuple(edge for edge in EDGES if edge >= 0.1)  # noqa: PLR2004 - younger requests are just in flight
"""Ages that requests in flight are counted by: a version that hangs has no durations until its time-outs come."""

DURATION = "http.server.request.duration"
REQUESTS = "http.server.requests"
ACTIVE = "http.server.active_requests"

_OVER = tuple(f"over_{edge:g}" for edge in OVERDUE)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who speaks. The revision never changes in a pod's life; its track does, and is therefore no tag."""

    service: str
    revision: str
    pod: str

    def tags(self) -> dict[str, str]:
        return {"service": self.service, "revision": self.revision, "pod": self.pod}


class HttpMetrics:
    """Counts of one process. Belongs to one event loop; `now` is any monotonic clock, in seconds."""

    def __init__(self, identity: Identity) -> None:
        self._tags = identity.tags()
        self._in_flight: dict[int, float] = {}
        self._next = 0
        self._durations: dict[str, Histogram] = {}
        self._codes: dict[tuple[str, int], int] = {}

    def begin(self, now: float) -> int:
        """A request has come; the ticket ends it."""
        self._next += 1
        self._in_flight[self._next] = now
        return self._next

    def end(self, ticket: int, *, route: str, code: int, now: float) -> None:
        """It was answered. `route` is a template of the router (`/jobs/{id}`), never a path with ids in it."""
        seconds = max(0.0, now - self._in_flight.pop(ticket))
        histogram = self._durations.get(route)
        if histogram is None:
            histogram = self._durations[route] = Histogram(EDGES)
        histogram.add(seconds)
        self._codes[route, code] = self._codes.get((route, code), 0) + 1

    def take(self, *, now: float, time_ns: int) -> list[Point]:
        """What happened since the last call, as points of `time_ns`; the counts start again at nothing.

        The number of requests in flight is always among them, 0 included: it is the
        heartbeat by which silence of the pod and an idle pod can be told apart.
        """
        durations, self._durations = self._durations, {}
        codes, self._codes = self._codes, {}
        points = [self._point(ACTIVE, self._active(now), time_ns)]
        for route, histogram in durations.items():
            points.append(self._point(DURATION, histogram.fields(), time_ns, route=route))
        for (route, code), count in codes.items():
            points.append(self._point(REQUESTS, {"count": count}, time_ns, route=route, code=str(code)))
        return points

    def _active(self, now: float) -> dict[str, int | float]:
        begun = list(self._in_flight.values())  # in the order they came, so sorted
        older = {name: bisect_left(begun, now - edge) for name, edge in zip(_OVER, OVERDUE, strict=True)}
        return {"active": len(begun), **older}

    def _point(self, name: str, fields: Mapping[str, int | float], time_ns: int, **tags: str) -> Point:
        return Point(name, fields, time_ns, {**self._tags, **tags})
