"""CloudWatch metrics as log lines in the Embedded Metric Format: the log agent makes metrics of them, no call is made.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any, assert_never

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
    Result,
    Unreadable,
)

_MOST_VALUES = 100
"""Of one metric in one line, by the specification; what is beyond goes into the next line."""
_UNITS = {"ProcessSeconds": "Seconds", "QueueWaitSeconds": "Seconds"}


class EmbeddedMetrics:
    """`note` is a Watcher; `lines` are what happened since the last call."""

    def __init__(self, identity: Identity, namespace: str) -> None:
        self._identity = identity
        self._namespace = namespace
        self._counts: Counter[str] = Counter()
        self._values: dict[str, list[float]] = {}

    def note(self, event: Event) -> None:
        match event:
            case Received(messages):
                self._counts["MessagesReceived"] += messages
            case Unreadable():
                self._counts["MessagesUnreadable"] += 1
            case Dequeued(waited):
                self._values.setdefault("QueueWaitSeconds", []).append(waited)
            case Attempted(result=result, seconds=seconds):
                self._counts["AttemptsFailed"] += result is Result.FAILED
                self._values.setdefault("ProcessSeconds", []).append(seconds)
            case Ended(completed=True):
                self._counts["JobsCompleted"] += 1
            case Ended():
                self._counts["JobsDeadLettered"] += 1
            case LeaseLost():
                self._counts["LeasesLost"] += 1
            case Fenced():
                self._counts["Fenced"] += 1
            case Begun() | FirstOutcome() | NeededMore():
                pass  # for canary analysis
            case _:
                assert_never(event)

    def lines(self, *, now_ms: int) -> list[str]:
        counts, self._counts = self._counts, Counter()
        values, self._values = self._values, {}
        lines = []
        while counts or values:
            now = {name: several[:_MOST_VALUES] for name, several in values.items()}
            lines.append(self._line({**counts, **now}, now_ms))
            counts = Counter()
            values = {name: several[_MOST_VALUES:] for name, several in values.items() if several[_MOST_VALUES:]}
        return lines

    def _line(self, metrics: dict[str, Any], now_ms: int) -> str:
        who = self._identity
        described = [{"Name": name, "Unit": _UNITS.get(name, "Count")} for name in metrics]
        metadata = {
            "Timestamp": now_ms,
            "CloudWatchMetrics": [
                {
                    "Namespace": self._namespace,
                    "Dimensions": [["Service"], ["Service", "Revision"]],
                    "Metrics": described,
                }
            ],
        }
        about = {"Service": who.service, "Revision": who.revision, "Pod": who.pod}
        return json.dumps({"_aws": metadata, **about, **metrics})


async def write_each(
    seconds: float, metrics: EmbeddedMetrics, *, now: Callable[[], float], ended: asyncio.Event
) -> None:
    """To standard output, and once more at the end."""
    while True:
        try:
            async with asyncio.timeout(seconds):
                await ended.wait()
        except TimeoutError:
            pass
        for line in metrics.lines(now_ms=round(now() * 1000)):
            sys.stdout.write(line + "\n")
        sys.stdout.flush()
        if ended.is_set():
            return
