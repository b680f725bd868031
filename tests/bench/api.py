"""The invitation API on PostgreSQL, one process on one core: invitations a second, latency at half of it, exact limits.

The service is the real one with a database that waits for its disk. It has a core for itself; what calls it and the
database have the others. Numbers are real ones, so that they are checked as such; the sandbox sends nothing. Latency
is counted from the moment a call was due, so that a stall shows in all that it held up. I31.
"""

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hack.node.postgres import Postgres
from hack.node.process import free_port
from hack.node.trouble import TroubleError
from tests.bench.report import Report, Target
from tests.invitation_service import environment, token
from workloads.invitations.migrating import migrate

SECONDS, WARM_SECONDS = 10.0, 3.0
AT_ONCE = 32
TARGETS: dict[str, Target] = {
    "per_s": (">=", 500),
    "p99_ms_half_load": ("<=", 50),
    "quota_exact": (">=", 1),
    "phone_exact": (">=", 1),
}
_AREAS = (202, 212, 213, 305, 312, 404, 415, 503, 617, 702)
_DAILY = 10


async def run() -> Report:
    with Postgres(durable=True) as postgres:
        await migrate(postgres.url())
        async with _service(postgres.url()) as server, _Calls.open(server.port, AT_ONCE) as calls:
            await _flood(calls, WARM_SECONDS)
            began = server.cpu_s()
            flood = await _flood(calls, SECONDS)
            cpu = server.cpu_s() - began
            half = await _paced(calls, flood.per_s / 2, SECONDS)
            quota = await _at_once(calls, [(token("one"), number) for number in _numbers(320)])
            (number,) = _numbers(1)
            phone = await _at_once(calls, [(token(f"many{each}"), number) for each in range(320)])
    figures = {
        "per_s": round(flood.per_s, 1),
        "p50_ms": flood.percentile_ms(50),
        "p99_ms": flood.percentile_ms(99),
        "half_load_per_s": round(half.per_s, 1),
        "p50_ms_half_load": half.percentile_ms(50),
        "p99_ms_half_load": half.percentile_ms(99),
        "cpu_ms_per_invitation": round(1000 * cpu / flood.answers[201], 3),
        "quota_exact": float(quota == {201: _DAILY, 429: 310}),
        "phone_exact": float(phone == {201: 1, 409: 319}),
    }
    notes = [f"{AT_ONCE} connections; the service on core {server.core}, all else on the other {len(_others())}"]
    return Report("api", figures, TARGETS, notes)


@dataclass
class _Taken:
    seconds: float = 0.0
    answers: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)

    @property
    def per_s(self) -> float:
        if set(self.answers) != {201}:
            raise TroubleError(f"the service answered otherwise than 201: {dict(self.answers)}")
        return self.answers[201] / self.seconds

    def percentile_ms(self, percent: int) -> float:
        ordered = sorted(self.latencies)
        return round(1000 * ordered[min(len(ordered) - 1, len(ordered) * percent // 100)], 2)


class _Connection(asyncio.Protocol):
    """One call at a time, kept alive; reads no more of an answer than its end."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._answer: asyncio.Future[int]
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if hasattr(self, "_answer") and not self._answer.done():
            self._answer.set_exception(TroubleError(f"the service closed a connection: {exc}"))

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, end, body = self._read.partition(b"\r\n\r\n")
        if end and len(body) >= int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]):
            self._read = b""
            self._answer.set_result(int(head[9:12]))

    async def call(self, request: bytes) -> int:
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        self._transport.close()


class _Calls:
    """Connections, and an endless row of requests that are all to succeed."""

    def __init__(self, connections: Sequence[_Connection]) -> None:
        self.connections = connections
        self._endless = self._requests()
        self.ready: list[bytes] = []

    @classmethod
    @asynccontextmanager
    async def open(cls, port: int, count: int) -> AsyncIterator["_Calls"]:
        loop = asyncio.get_running_loop()
        made = [await loop.create_connection(_Connection, "127.0.0.1", port) for _ in range(count)]
        connections = [connection for _, connection in made]
        try:
            yield cls(connections)
        finally:
            for connection in connections:
                connection.close()

    def prepare(self, count: int) -> None:
        """Signing tokens takes longer than calling; it is done before."""
        self.ready = [next(self._endless) for _ in range(count)]

    def _requests(self) -> Iterator[bytes]:
        users = iter(range(10**9))
        numbers = _all_numbers()
        while True:
            signed = token(f"user{next(users)}")
            for _ in range(_DAILY):
                yield request(signed, next(numbers))


def request(signed: str, number: str) -> bytes:
    body = json.dumps({"phoneNumber": number})
    lines = [
        "POST /api/invitations HTTP/1.1",
        "Host: bench",
        f"Authorization: Bearer {signed}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def _all_numbers() -> Iterator[str]:
    for exchange in range(200, 1000):
        if exchange % 100 != 11:  # 211, 311, … are services
            for line in range(10_000):
                for area in _AREAS:
                    yield f"+1{area}{exchange}{line:04d}"


_numbers_left = _all_numbers()


def _numbers(count: int) -> list[str]:
    return [f"+1555{random.randrange(10**7):07d}" for _ in range(count)]  # noqa: S311


async def _flood(calls: _Calls, seconds: float) -> _Taken:
    """Each connection calls again as soon as it was answered."""
    calls.prepare(round(seconds * 3000))
    waiting = iter(calls.ready)
    taken = _Taken()
    clock = time.perf_counter
    until = clock() + seconds

    async def one(connection: _Connection) -> None:
        while (began := clock()) < until:
            taken.answers[await connection.call(next(waiting))] += 1
            taken.latencies.append(clock() - began)

    began = clock()
    await asyncio.gather(*(one(connection) for connection in calls.connections))
    taken.seconds = clock() - began
    return taken


async def _paced(calls: _Calls, per_s: float, seconds: float) -> _Taken:
    """At random moments, so many a second whatever the answers do."""
    calls.prepare(round(seconds * per_s))
    idle = asyncio.Queue[_Connection]()
    for connection in calls.connections:
        idle.put_nowait(connection)
    taken = _Taken()
    clock = time.perf_counter
    draw = random.Random(1)  # noqa: S311 - the same moments each time

    async def one(due: float, each: bytes) -> None:
        connection = await idle.get()
        taken.answers[await connection.call(each)] += 1
        idle.put_nowait(connection)
        taken.latencies.append(clock() - due)

    began = due = clock()
    async with asyncio.TaskGroup() as tasks:
        for each in calls.ready:
            due += draw.expovariate(per_s)
            if due > clock():
                await asyncio.sleep(due - clock())
            tasks.create_task(one(due, each))
    taken.seconds = clock() - began
    return taken


async def _at_once(calls: _Calls, asked: Sequence[tuple[str, str]]) -> Counter[int]:
    waiting = iter(asked)
    answers: Counter[int] = Counter()

    async def one(connection: _Connection) -> None:
        for signed, number in waiting:
            answers[await connection.call(request(signed, number))] += 1

    await asyncio.gather(*(one(connection) for connection in calls.connections))
    return answers


@dataclass(frozen=True)
class _Server:
    pid: int
    port: int
    core: int

    def cpu_s(self) -> float:
        """User and system time so far; fields 14 and 15 of proc(5)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _others() -> set[int]:
    cores = sorted(os.sched_getaffinity(0))
    return set(cores[1:] or cores)


@asynccontextmanager
async def _service(database_url: str) -> AsyncIterator[_Server]:
    """On the first core, and this process on the others; the database was started before and stays everywhere."""
    port = free_port()
    before = os.sched_getaffinity(0)
    core = min(before)
    variables = environment(database_url, PORT=str(port))
    process = await asyncio.create_subprocess_exec(
        *("taskset", "--cpu-list", str(core), sys.executable, "-m", "workloads.invitations"),
        env={**os.environ, **variables},
    )
    os.sched_setaffinity(0, _others())
    try:
        await _until_it_listens(port, process)
        yield _Server(process.pid, port, core)
    finally:
        os.sched_setaffinity(0, before)
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


async def _until_it_listens(port: int, process: asyncio.subprocess.Process) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            if process.returncode is not None or time.monotonic() > deadline:
                raise TroubleError("the service does not serve; what it said stands above") from None
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return
