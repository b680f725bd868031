"""`/healthz`, `/readyz` and `/metrics`.

Health is answered for each queue by itself: that a task runs proves nothing, that the queue's keys are finished does.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from controller.runtime.listening import listening
from controller.workqueue import WorkQueue

_LAGS_S = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0)
_MOST_CONNECTIONS = 64
_STUCK_S = 150.0
"""A pass ends within a minute; a queue that has keys and makes no progress for longer is stuck."""


@dataclass
class Telemetry:
    """The operator's own metrics."""

    registry: CollectorRegistry = field(default_factory=lambda: CollectorRegistry(auto_describe=True))

    def __post_init__(self) -> None:
        self.reconciles = Counter(
            "pointsman_reconciles", "Passes by their result.", ["kind", "result"], registry=self.registry
        )
        self.look_lag = Histogram(
            "pointsman_look_lag_seconds",
            "Time from when a look's counts were complete until the look was made.",
            buckets=_LAGS_S,
            registry=self.registry,
        )
        self._queue_depth = Gauge(
            "pointsman_queue_depth", "Requests waiting for a worker.", ["kind"], registry=self.registry
        )
        self._queue_active = Gauge(
            "pointsman_queue_active", "Requests being processed.", ["kind"], registry=self.registry
        )
        self.logged = Counter(
            "pointsman_decision_log_entries",
            "Entries of the decision log by what became of them.",
            ["sink", "fate"],
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)
        self.leads = Gauge("pointsman_leader", "1 while this process leads.", registry=self.registry)

    def queue(self, kind: str, queue: WorkQueue[Any]) -> None:
        self._queue_depth.labels(kind).set_function(lambda: float(len(queue)))
        self._queue_active.labels(kind).set_function(lambda: float(queue.active))

    def count_logged(self, sink: str, fate: str, number: int) -> None:
        self.logged.labels(sink, fate).inc(number)

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        Gauge(name, text, registry=self.registry).set_function(read)


@dataclass(frozen=True)
class Liveness:
    """Of one queue."""

    queue: str
    """Its name, for people."""
    stalled_since: Callable[[], float | None]
    """Since when it has had keys and made no progress, by the loop's clock; None while it has no keys."""

    @property
    def is_stuck(self) -> bool:
        since = self.stalled_since()
        return since is not None and asyncio.get_running_loop().time() - since > _STUCK_S


def serve(
    telemetry: Telemetry, address: str, port: int, *, queues: Iterable[Liveness], ready: Callable[[], bool]
) -> contextlib.AbstractAsyncContextManager[int]:
    """Answers while the block runs. As `listening`."""
    watched = tuple(queues)

    async def healthz(_: web.Request) -> web.Response:
        stuck = [liveness.queue for liveness in watched if liveness.is_stuck]
        if stuck:
            return web.Response(status=503, text=f"no progress for {_STUCK_S:g} s: {', '.join(stuck)}\n")
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        if not ready():
            return web.Response(status=503, text="starting\n")
        return web.Response(text="ok\n")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(telemetry.registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4}
        )

    routes = [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)]
    return listening(routes, address, port, most=_MOST_CONNECTIONS)
