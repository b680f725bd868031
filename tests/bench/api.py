"""The invitation API on PostgreSQL, one process on one core: invitations a second, latency at half of it, exact limits.

The service is the real one with a database that waits for its disk. It is bound to a core, the caller to the others;
the database runs where it likes. Half load is half of what it did, and at most all that is asked for: above it, two
cores are full of the caller and the database. Numbers are real ones, so that they are checked as such; the sandbox
sends nothing. Every second request has an idempotency key. I31.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from statistics import median

from hack.node.postgres import Postgres
from hack.node.process import free_port
from hack.node.trouble import TroubleError
from tests.bench.calls import Taken, connected, flood, paced
from tests.bench.report import Report, Target
from tests.bench.world import say
from tests.invitation_service import environment, phone, token
from workloads.invitations.migrating import migrate

SECONDS, WARM_SECONDS = 10.0, 3.0
WINDOWS = 3
_SMALLER = 10
"""A small run is this many times shorter."""
AT_ONCE = 32
MOST_PER_S = 3000
ASKED_PER_S = 500
TARGETS: dict[str, Target] = {
    "per_s": (">=", ASKED_PER_S),
    "p99_ms_half_load": ("<=", 50),
    "quota_exact": (">=", 1),
    "phone_exact": (">=", 1),
}
AT_ANY_SIZE = ("quota_exact", "phone_exact")
_AREAS = (202, 212, 213, 305, 312, 404, 415, 503, 617, 702)
_DAILY = 10


async def run(*, small: bool = False) -> Report:
    part = _SMALLER if small else 1
    full_s, warm_s, windows = SECONDS / part, WARM_SECONDS / part, 1 if small else WINDOWS
    warm = round(warm_s * MOST_PER_S)
    with Postgres(durable=True) as postgres:
        await migrate(postgres.url())
        async with _service(postgres.url()) as server, connected(server.port, AT_ONCE) as connections:
            say("warming up")
            # Signing tokens takes longer than calling: it is done before.
            requests = _invitations()
            await flood(connections, list(islice(requests, warm)), seconds=warm_s)
            prepared = list(islice(requests, round(full_s * MOST_PER_S)))
            say(f"as many as it answers, for {full_s:g} s")
            began = server.cpu_s()
            full = _all_made(await flood(connections, prepared, seconds=full_s))
            cpu = server.cpu_s() - began
            rate = min(full.per_s / 2, ASKED_PER_S)
            say(f"{full.per_s:.0f}/s; now {rate:.0f}/s, {windows} times")
            halves, idle = [], _idle_s()
            for _ in range(windows):
                prepared = list(islice(requests, round(full_s / 2 * rate)))
                halves.append(_all_made(await paced(connections, prepared, per_s=rate)))
            idle = (_idle_s() - idle) / sum(half.seconds for half in halves)
            say("limits, with all connections at once")
            one_user = [request(token("one"), phone(number)) for number in range(320)]
            quota = await flood(connections, one_user, seconds=60)
            one_phone = [request(token(f"many{number}"), phone(999)) for number in range(320)]
            taken = await flood(connections, one_phone, seconds=60)
    figures = {
        "per_s": round(full.per_s, 1),
        "p50_ms": full.percentile_ms(50),
        "p99_ms": full.percentile_ms(99),
        "half_load_per_s": round(median(half.per_s for half in halves), 1),
        "p50_ms_half_load": median(half.percentile_ms(50) for half in halves),
        "p99_ms_half_load": median(half.percentile_ms(99) for half in halves),
        "cpu_ms_per_invitation": round(1000 * cpu / full.answers[201], 3),
        "quota_exact": float(quota.answers == {201: _DAILY, 429: 310}),
        "phone_exact": float(taken.answers == {201: 1, 409: 319}),
    }
    each = ", ".join(f"{half.percentile_ms(99):g}" for half in halves)
    notes = [
        f"p99_ms_half_load is the median of {windows} times {full_s / 2:g} s: {each}",
        f"{AT_ONCE} connections; at half load {idle:.1f} of {os.cpu_count()} cores had nothing to do",
    ]
    targets = {name: TARGETS[name] for name in AT_ANY_SIZE} if small else TARGETS
    return Report("api", figures, targets, notes)


def _all_made(taken: Taken) -> Taken:
    if set(taken.answers) != {201}:
        raise TroubleError(f"every invitation should have been made, but the answers were {dict(taken.answers)}")
    return taken


def _invitations() -> Iterator[bytes]:
    """Endless; all are to succeed."""
    numbers = _numbers()
    for user in count():
        signed = token(f"user{user}")
        for place in range(_DAILY):
            yield request(signed, next(numbers), key=f"{user}-{place}" if place % 2 else "")


def _numbers() -> Iterator[str]:
    for exchange in range(200, 1000):
        if exchange % 100 != 11:  # 211, 311, … are services
            for line in range(10_000):
                for area in _AREAS:
                    yield f"+1{area}{exchange}{line:04d}"


def request(signed: str, number: str, *, key: str = "") -> bytes:
    body = json.dumps({"phoneNumber": number})
    lines = [
        "POST /api/invitations HTTP/1.1",
        "Host: bench",
        f"Authorization: Bearer {signed}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *([f"Idempotency-Key: {key}"] if key else []),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


@dataclass(frozen=True)
class _Server:
    pid: int
    port: int

    def cpu_s(self) -> float:
        """User and system time so far; fields 14 and 15 of proc(5)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _idle_s() -> float:
    """Of all cores; the fourth and fifth number of proc(5)'s /proc/stat. Little of it: others were at work too."""
    fields = Path("/proc/stat").read_text().split()
    return (int(fields[4]) + int(fields[5])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def _service(database_url: str) -> AsyncIterator[_Server]:
    port = free_port()
    cores = os.sched_getaffinity(0)
    first = min(cores)
    process = await asyncio.create_subprocess_exec(
        *("taskset", "--cpu-list", str(first), sys.executable, "-m", "workloads.invitations"),
        env={**os.environ, **environment(database_url, PORT=str(port))},
        stdout=sys.stderr,
    )
    os.sched_setaffinity(0, cores - {first} or cores)
    try:
        await _until_it_listens(port, process)
        yield _Server(process.pid, port)
    finally:
        os.sched_setaffinity(0, cores)
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
