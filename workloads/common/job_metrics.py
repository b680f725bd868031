"""What a consumer counts for canary analysis, as points for the exporter.

A job is counted once, for the revision that made its first attempt (`job.outcome`), whoever found out: a canary that
leaves its failures to stable would look well otherwise. What an attempt is like is counted for the revision that made
it. Counts are deltas, as for HTTP.
"""

from collections import Counter
from collections.abc import Mapping
from typing import assert_never

from workloads.common.histogram import Histogram
from workloads.common.http_metrics import Identity
from workloads.common.job_events import (
    Attempted,
    Begun,
    Dequeued,
    Ended,
    Event,
    Fenced,
    FirstOutcome,
    LeaseLost,
    NeededMore,
    Received,
    Unreadable,
)
from workloads.common.line_protocol import Point

EDGES = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0, 120.0, 300.0, 900.0)
"""Seconds."""
OVERDUE = tuple(edge for edge in EDGES if edge >= 1)

OUTCOME = "job.outcome"
ATTEMPTS = "job.attempts"
DURATION = "messaging.process.duration"
WAIT = "job.queue_wait"
CONSUMED = "messaging.client.consumed.messages"
ACTIVE = "job.active"
LEASE_LOST = "job.lease.lost"
FENCED = "job.fenced"
UNREADABLE = "job.unreadable"

_OUTCOMES = ("first_attempts", "first_attempt_failed", "needed_more", "completed", "dead_lettered")


class JobMetrics:
    """Counts of one process. `note` is a Watcher, `take` a source of the exporter; `now` is any monotonic clock."""

    def __init__(self, identity: Identity) -> None:
        self._tags = identity.tags()
        self._active: dict[int, float] = {}
        self._start_again()

    def _start_again(self) -> None:
        self._outcomes: dict[str, Counter[str]] = {}
        self._attempts: Counter[str] = Counter()
        self._durations: dict[tuple[str, str], Histogram] = {}
        self._wait: Histogram | None = None
        self._counts: Counter[str] = Counter()

    def note(self, event: Event, *, now: float) -> None:
        match event:
            case Received(messages):
                self._counts[CONSUMED] += messages
            case Unreadable():
                self._counts[UNREADABLE] += 1
            case Dequeued(waited):
                self._wait = self._wait or Histogram(EDGES)
                self._wait.add(waited)
            case Begun(key):
                self._active[key] = now
            case Attempted(key, first, result, seconds):
                self._active.pop(key, None)
                self._attempts[result] += 1
                self._durations.setdefault(
                    ("first" if first else "later", result), Histogram(EDGES)
                ).add(seconds)  # fmt: skip
            case FirstOutcome(revision, failed):
                self._count(revision, first_attempts=1, first_attempt_failed=int(failed))
            case NeededMore(revision):
                self._count(revision, needed_more=1)
            case Ended(revision, completed):
                self._count(revision, completed=int(completed), dead_lettered=int(not completed))
            case LeaseLost():
                self._counts[LEASE_LOST] += 1
            case Fenced():
                self._counts[FENCED] += 1
            case _:
                assert_never(event)

    def _count(self, revision: str, **more: int) -> None:
        self._outcomes.setdefault(revision, Counter()).update(more)

    def take(self, *, now: float, time_ns: int) -> list[Point]:
        """What happened since the last call, and what runs now: sent while idle too, as the sign of life."""
        begun = sorted(self._active.values())
        older = {f"over_{edge:g}": sum(start < now - edge for start in begun) for edge in OVERDUE}
        points = [self._point(ACTIVE, {"active": len(begun), **older}, time_ns)]
        for revision, outcomes in self._outcomes.items():
            fields = {name: outcomes[name] for name in _OUTCOMES}
            points.append(self._point(OUTCOME, fields, time_ns, revision=revision))
        points += [self._point(ATTEMPTS, {"count": n}, time_ns, result=result) for result, n in self._attempts.items()]
        for (attempt, result), histogram in self._durations.items():
            points.append(self._point(DURATION, histogram.fields(), time_ns, attempt=attempt, result=result))
        if self._wait:
            points.append(self._point(WAIT, self._wait.fields(), time_ns))
        points += [self._point(name, {"count": n}, time_ns) for name, n in self._counts.items()]
        self._start_again()
        return points

    def _point(self, name: str, fields: Mapping[str, int | float], time_ns: int, **tags: str) -> Point:
        return Point(name, fields, time_ns, {**self._tags, **tags})
