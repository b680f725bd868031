"""Calls of one HTTP service as fast as it answers, or at a pace, by a client that costs little itself."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from hack.node.trouble import TroubleError

_clock = time.perf_counter


@dataclass
class Taken:
    """What a run of calls took; latencies in seconds."""

    seconds: float = 0.0
    answers: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)

    @property
    def per_s(self) -> float:
        return self.answers.total() / self.seconds

    def percentile_ms(self, percent: int) -> float:
        ordered = sorted(self.latencies)
        return round(1000 * ordered[min(len(ordered) - 1, len(ordered) * percent // 100)], 2)


class Connection(asyncio.Protocol):
    """Kept alive; one call at a time. Of an answer it reads the status and finds the end."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._answer: asyncio.Future[int] | None = None
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_exception(TroubleError(f"the service closed a connection within a call: {exc}"))

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, end, body = self._read.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if end and len(body) >= int(length) and self._answer:
            self._read = b""
            self._answer.set_result(int(head[9:12]))

    async def call(self, request: bytes) -> int:
        """The answer's status."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        self._transport.close()


@asynccontextmanager
async def connected(port: int, count: int) -> AsyncIterator[Sequence[Connection]]:
    """So many connections to a port of this machine."""
    loop = asyncio.get_running_loop()
    connections = [(await loop.create_connection(Connection, "127.0.0.1", port))[1] for _ in range(count)]
    try:
        yield connections
    finally:
        for connection in connections:
            connection.close()


async def flood(connections: Sequence[Connection], requests: Iterable[bytes], *, seconds: float) -> Taken:
    """Each connection calls again as soon as it was answered, until the time or the requests are over."""
    waiting = iter(requests)
    taken = Taken()
    until = _clock() + seconds

    async def one(connection: Connection) -> None:
        for each in _while(waiting, until):
            began = _clock()
            taken.answers[await connection.call(each)] += 1
            taken.latencies.append(_clock() - began)

    began = _clock()
    await asyncio.gather(*(one(connection) for connection in connections))
    taken.seconds = _clock() - began
    return taken


def _while(requests: Iterator[bytes], until: float) -> Iterator[bytes]:
    while _clock() < until:
        try:
            yield next(requests)
        except StopIteration:
            return


async def paced(connections: Sequence[Connection], requests: Sequence[bytes], *, per_s: float) -> Taken:
    """At random moments, so many a second whatever the answers do; latency is counted from when a call was due."""
    idle = asyncio.Queue[Connection]()
    for connection in connections:
        idle.put_nowait(connection)
    taken = Taken()
    draw = random.Random(1)  # noqa: S311 - the same moments each time

    async def one(due: float, each: bytes) -> None:
        connection = await idle.get()
        taken.answers[await connection.call(each)] += 1
        idle.put_nowait(connection)
        taken.latencies.append(_clock() - due)

    began = due = _clock()
    async with asyncio.TaskGroup() as tasks:
        for each in requests:
            due += draw.expovariate(per_s)
            if due > _clock():
                await asyncio.sleep(due - _clock())
            tasks.create_task(one(due, each))
    taken.seconds = _clock() - began
    return taken
