"""Points for InfluxDB 2: `pointsman.release`, `pointsman.look`, `pointsman.event`. Revisions are fields and no tags, so
that the number of series does not grow with each rollout. A point that is written twice is one point.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx
import influxdb_client

from controller.api.text import one_line
from controller.decision_log.entry import Entry, EventEntry, LookEntry, StatusEntry
from controller.decision_log.places import Bucket
from controller.decision_log.posting import Posting
from controller.kube.objects import Key
from controller.stats.counts import metric_of
from controller.stats.evidence import MetricEvidence

RELEASE, LOOK, EVENT = "pointsman.release", "pointsman.look", "pointsman.event"
"""The measurements."""
_api: Any = influxdb_client  # its classes carry no types
_NANO = "ns"
_MOST_TEXT = 512
_MOST_LINES = 5000


class InfluxSink:
    """A Sink. Opens nothing before the first request."""

    name = "influxdb"
    most = _MOST_LINES

    def __init__(self, bucket: Bucket, cluster: str) -> None:
        """`cluster`: its identity, a tag of each point."""
        self._bucket = bucket
        self._cluster = cluster
        self._posting = Posting(
            "InfluxDB",
            bucket.url,
            params={"org": bucket.org, "bucket": bucket.bucket, "precision": _NANO},
            headers={"Authorization": f"Token {bucket.token}"},
            words=self._words,
        )

    def encode(self, entry: Entry) -> Sequence[bytes]:
        match entry:
            case StatusEntry():
                return [self._line(self._release(entry), entry.at)]
            case LookEntry():
                points = (self._look(entry, metric) for metric in entry.evidence.metrics)
                return [self._line(point, entry.look.end) for point in points if point is not None]
            case EventEntry():
                return [self._line(self._event(entry), entry.at)]

    def _point(self, measurement: str, key: Key) -> Any:
        tags = {"cluster": self._cluster, "namespace": key.namespace, "release": key.name}
        point = _api.Point(measurement)
        for name, value in tags.items():
            point.tag(name, value)
        return point

    def _release(self, entry: StatusEntry) -> Any:
        status, point = entry.status, self._point(RELEASE, entry.key)
        fields = {
            "phase": str(status.phase),
            "reason": str(status.reason),
            "message": _text(status.message),
            "weight": float(status.weight),
            "baseline_weight": float(status.baseline_weight),
            "step": min(status.step + 1, status.steps) if status.canary else 0,
            "steps": status.steps,
            "stable": status.stable,
            "canary": status.canary,
            "attempt": status.attempts,
        }
        return _with_fields(point, fields)

    def _look(self, entry: LookEntry, metric: MetricEvidence) -> Any | None:
        """None for a metric that was not asked for in this look."""
        look, counts = entry.look, entry.look.rows.get(metric.name)
        if counts is None:
            return None
        point = self._point(LOOK, entry.key).tag("metric", metric_of(metric.name))
        threshold = metric.name.partition("/")[2]
        if threshold:
            point.tag("threshold", threshold)
        standing = metric.standing
        fields = {
            "look": look.number,
            "attempt": entry.attempt,
            "canary": entry.canary,
            "stable": entry.stable,
            "weight": float(look.weight),
            "share": 100 * look.share,
            "canary_bad": counts.canary_bad,
            "canary_total": counts.canary_total,
            "stable_bad": counts.stable_bad,
            "stable_total": counts.stable_total,
            "bad": standing.bad,
            "boundary": standing.boundary,
            "p": float(standing.p),
            "verdict": metric.verdict.value,
            "limit": metric.limit,
        }
        return _with_fields(point, {name: value for name, value in fields.items() if value is not None})

    def _event(self, entry: EventEntry) -> Any:
        point = self._point(EVENT, entry.key).tag("reason", str(entry.reason))
        return _with_fields(point, {"message": _text(entry.message), "warning": entry.warning})

    @staticmethod
    def _line(point: Any, at: float) -> bytes:
        # whole microseconds: a float has no more, and the same moment has to give the same point
        line: str = point.time(round(at * 1_000_000) * 1000, _NANO).to_line_protocol()
        return line.encode()

    async def send(self, batch: Sequence[bytes]) -> None:
        """Raises SinkDownError, SinkRefusedError."""
        await self._posting.post("/api/v2/write", b"\n".join(batch))

    def _words(self, answer: httpx.Response) -> str:
        return one_line(answer.text, _MOST_TEXT).replace(self._bucket.token, "[token]")

    async def close(self) -> None:
        await self._posting.close()


def _with_fields(point: Any, fields: dict[str, Any]) -> Any:
    for name, value in fields.items():
        point.field(name, value)
    return point


def _text(text: str) -> str:
    return one_line(text, _MOST_TEXT)
