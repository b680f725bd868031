"""Pushes points to Telegraf (or InfluxDB) once a second, and never at the cost of serving.

A flush becomes one batch with its own time stamp, encoded once. A batch whose push
failed, or whose answer got lost, is sent again byte for byte: the same series at
the same time overwrites itself in InfluxDB, so nothing is counted twice. Batches
wait in a bounded buffer; an outage longer than the bound loses the oldest, and the
number of points lost is reported beside the data (`telemetry.lost`).

Telegraf says 204 before it has written: killed, it takes about a second of points
along (seen: 91 of 1,800 requests). So the last batches that were received are
kept too, and sent once more after every failure.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from typing import Self

import aiohttp

from workloads.common.backoff import Pauses
from workloads.common.ending import restarted
from workloads.common.http_metrics import Identity
from workloads.common.line_protocol import Point, encode

log = logging.getLogger(__name__)

Source = Callable[[int], Sequence[Point]]
"""Given a time stamp, the points since the last call."""

LOST = "telemetry.lost"
_REFUSED_FOR_CONTENT = frozenset({400, 413, 422})
_BATCHES_PER_PUSH = 50


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds, except for flushes kept: `buffered` while none can be pushed, `again` after they were received."""

    interval: float = 1.0
    buffered: int = 300
    again: int = 10
    timeout: float = 2.0
    retry: tuple[float, float] = (0.5, 5.0)
    last_flush: float = 3.0


@dataclass(frozen=True, slots=True)
class _Batch:
    lines: bytes
    points: int


class _Answer(Enum):
    WRITTEN = "written"
    REFUSED = "refused"
    AGAIN = "again"


class Exporter:
    """`async with Exporter(…)`: flushes and pushes inside, and flushes once more at the end."""

    def __init__(
        self,
        *,
        url: str,
        identity: Identity,
        sources: Sequence[Source],
        bucket: str = "metrics",
        token: str = "",
        pace: Pace | None = None,
    ) -> None:
        self.lost = 0
        """Points that will never arrive, since the process began."""
        self._url = f"{url.rstrip('/')}/api/v2/write"
        self._params = {"bucket": bucket, "precision": "ns"}
        self._headers = {"Content-Type": "text/plain; charset=utf-8"}
        if token:
            self._headers["Authorization"] = f"Token {token}"
        self._tags = identity.tags()
        self._sources = sources
        self._pace = pace or Pace()
        self._buffer: deque[_Batch] = deque()
        self._received: deque[_Batch] = deque(maxlen=self._pace.again)
        self._last_ns = 0
        self._reachable = True
        self._filled = asyncio.Event()
        self._ending = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        # trust_env stays off: telemetry goes to the cluster, not through a proxy of the environment.
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._pace.timeout),
            headers=self._headers,
            connector=aiohttp.TCPConnector(limit=1),
        )
        self._tasks = [
            asyncio.create_task(restarted("the flushing of metrics", self._flush_each_interval)),
            asyncio.create_task(restarted("the pushing of metrics", self._push_what_waits)),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Flush once more and push within `last_flush` seconds; what is left then is lost, and said."""
        flushing, pushing = self._tasks
        flushing.cancel()
        self._flush()
        self._ending.set()
        self._filled.set()
        try:
            async with asyncio.timeout(self._pace.last_flush):
                await pushing
        except TimeoutError:
            self.lost += sum(batch.points for batch in self._buffer)
            log.warning("telemetry ends unsent", extra={"fields": {"lost_points": self.lost}})
        await asyncio.gather(flushing, return_exceptions=True)
        await self._session.close()

    async def _flush_each_interval(self) -> None:
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            due += self._pace.interval
            if due <= clock():  # after a stall one flush is enough: it carries everything since the last
                due = clock() + self._pace.interval
            await asyncio.sleep(due - clock())
            self._flush()

    def _flush(self) -> None:
        # Two flushes with one time stamp would overwrite each other, so time only goes on.
        self._last_ns = max(time.time_ns(), self._last_ns + 1)
        lines: list[str] = []
        for source in self._sources:
            try:
                lines.extend(encode(point) for point in source(self._last_ns))
            except Exception:  # a defect in a metric must not end the flushing of all others
                log.exception("a metric cannot be flushed")
        if self.lost:
            lines.append(encode(Point(LOST, {"points": self.lost}, self._last_ns, self._tags)))
        if not lines:
            return
        self._buffer.append(_Batch("\n".join(lines).encode() + b"\n", len(lines)))
        self._keep_to_bound()
        self._filled.set()

    def _keep_to_bound(self) -> None:
        while len(self._buffer) > self._pace.buffered:
            self.lost += self._buffer.popleft().points

    async def _push_what_waits(self) -> None:
        pauses = Pauses(*self._pace.retry)
        while True:
            if not self._buffer:
                if self._ending.is_set():
                    return
                self._filled.clear()
                await self._filled.wait()
                continue
            if await self._push():
                pauses.again()
                continue
            with suppress(TimeoutError):
                # The end cuts waiting short only once: `ending` stays set, so the last tries are spaced as well.
                pause = pauses.next_s()
                if self._ending.is_set():
                    await asyncio.sleep(min(pause, self._pace.retry[0]))
                else:
                    await asyncio.wait_for(self._ending.wait(), pause)

    async def _push(self) -> bool:
        """Oldest first, several at a time, so that minutes of outage are made up for in a second."""
        sent = [self._buffer.popleft() for _ in range(min(_BATCHES_PER_PUSH, len(self._buffer)))]
        answer = _Answer.AGAIN
        try:
            answer = await self._post(b"".join(batch.lines for batch in sent))
        finally:
            if answer is _Answer.AGAIN:
                self._buffer.extendleft(reversed(sent))
                self._buffer.extendleft(reversed(self._received))
                self._received.clear()
                self._keep_to_bound()
        if answer is _Answer.WRITTEN:
            # Of no points: should they fall out of the buffer later, they had arrived as far as anyone knows.
            self._received.extend(replace(batch, points=0) for batch in sent)
        elif answer is _Answer.REFUSED:
            self.lost += sum(batch.points for batch in sent)
        return answer is not _Answer.AGAIN

    async def _post(self, body: bytes) -> _Answer:
        try:
            async with self._session.post(self._url, params=self._params, data=body, allow_redirects=False) as response:
                status, why = response.status, "" if response.ok else (await response.text(errors="replace"))[:200]
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            return self._unreachable(f"{type(problem).__name__}: {problem}")
        if status in _REFUSED_FOR_CONTENT:  # the same bytes would be refused for ever
            log.error("telemetry is refused", extra={"fields": {"status": status, "answer": why}})
            return _Answer.REFUSED
        if not 200 <= status < 300:  # noqa: PLR2004 - a redirect is no receipt either
            return self._unreachable(f"status {status}: {why}")
        if not self._reachable:
            self._reachable = True
            log.info("telemetry is received again", extra={"fields": {"lost_points": self.lost}})
        return _Answer.WRITTEN

    def _unreachable(self, why: str) -> _Answer:
        if self._reachable:  # once per outage, not once per try
            self._reachable = False
            log.warning("telemetry cannot be pushed, keeping it", extra={"fields": {"why": why, "url": self._url}})
        return _Answer.AGAIN
