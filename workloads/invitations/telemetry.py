"""What one process counts and traces, and where that goes."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from typing import assert_never

from opentelemetry.trace import NoOpTracer

from workloads.common.exporter import Exporter
from workloads.common.gate import Gate
from workloads.common.http_metrics import HttpMetrics, Identity
from workloads.common.job_metrics import JobMetrics
from workloads.common.line_protocol import Point
from workloads.common.tracing import Tracing, tracing
from workloads.invitations.clients import Clients
from workloads.invitations.sending.port import Accepted, Outcome, Refused, Unknown
from workloads.invitations.sending.running import Hooks
from workloads.invitations.settings import Settings

REQUESTS = "invitation.requests"
SMS = "sms.outcome"
LAG = "outbox.lag"


class InvitationMetrics:
    """Counts since the last flush. No number, no user, no code is among the tags."""

    def __init__(self, identity: Identity, provider: str) -> None:
        self.lag: Callable[[], float] | None = None
        """Seconds, of the process that empties the outbox."""
        self._tags = identity.tags()
        self._provider = provider
        self._requests: Counter[str] = Counter()
        self._sms: Counter[tuple[str, str]] = Counter()

    def requested(self, outcome: str) -> None:
        """An invitation was asked for: `invited`, `repeated`, `caller_left`, or a problem's code in small letters."""
        self._requests[outcome] += 1

    def sent(self, outcome: Outcome) -> None:
        """The provider has answered, or has not."""
        match outcome:
            case Accepted():
                self._sms["accepted", ""] += 1
            case Refused(fault):
                self._sms["refused", fault.value] += 1
            case Unknown():
                self._sms["unknown", ""] += 1
            case _:
                assert_never(outcome)

    def take(self, *, time_ns: int) -> list[Point]:
        requests, self._requests = self._requests, Counter()
        sms, self._sms = self._sms, Counter()
        points = [self._point(REQUESTS, {"count": n}, time_ns, outcome=outcome) for outcome, n in requests.items()]
        for (outcome, fault), n in sms.items():
            points.append(
                self._point(SMS, {"count": n}, time_ns, provider=self._provider, outcome=outcome, fault=fault)
            )
        if self.lag is not None:
            points.append(self._point(LAG, {"seconds": float(self.lag())}, time_ns))
        return points

    def _point(self, name: str, fields: Mapping[str, int | float], time_ns: int, **tags: str) -> Point:
        return Point(name, fields, time_ns, {**self._tags, **tags})


class Telemetry:
    """Of one process. Counts from the start; sends them, and makes spans, inside `running`."""

    def __init__(self, settings: Settings, clock: Callable[[], int]) -> None:
        """`clock`: milliseconds since 1970."""
        self.clients = (
            Clients(settings.identity, settings.keys.hashing, seconds=settings.client_s, clock=clock)
            if settings.client_s > 0
            else None
        )
        self.http = HttpMetrics(settings.identity)
        self.own = InvitationMetrics(settings.identity, settings.provider)
        self.traces = Tracing(NoOpTracer(), settings.queue_url)
        self._jobs = JobMetrics(settings.identity)
        self._settings = settings

    def hooks(self, gate: Gate) -> Hooks:
        """For the sender."""
        return Hooks(
            gate=gate,
            watchers=[lambda event: self._jobs.note(event, now=time.monotonic())],
            around=self.traces.attempt,
            told=self.own.sent,
        )

    @contextlib.asynccontextmanager
    async def running(self, environment: Mapping[str, str]) -> AsyncIterator[None]:
        """Flushes once more at the end, so it has to end last. `environment` is read by OpenTelemetry's rules."""
        settings = self._settings
        self.traces = tracing(environment, settings.identity, queue=settings.queue_url)
        async with contextlib.AsyncExitStack() as stack:
            # In a thread: it waits for the collector, and the last counts are still to be sent from this loop.
            stack.push_async_callback(asyncio.to_thread, self.traces.close)
            if settings.telemetry.url:
                exporter = Exporter(
                    url=settings.telemetry.url,
                    identity=settings.identity,
                    sources=[self._take],
                    bucket=settings.telemetry.bucket,
                    token=settings.telemetry.token,
                )
                await stack.enter_async_context(exporter)
            yield

    def _take(self, time_ns: int) -> list[Point]:
        now = time.monotonic()
        points = [*self.http.take(now=now, time_ns=time_ns), *self.own.take(time_ns=time_ns)]
        if self.clients is not None:
            points += self.clients.take(time_ns=time_ns)
        if self._settings.sender is not None:
            points += self._jobs.take(now=now, time_ns=time_ns)
        return points
