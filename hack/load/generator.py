"""Sends at a constant rate, whatever comes back.

Open loop: a request that is due is sent even when earlier ones hang, as users do,
and its latency counts from the moment it was due. A generator that waited for
answers would go easy on exactly the version that is in trouble.
"""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

import aiohttp
from yarl import URL

from hack.load.plan import Call, Plan
from hack.load.tally import Ledger, Snapshot

_TICK_S = 0.005
"""Requests of one tick go out together; at low rates a tick is one request."""

Calls = Callable[[], Call]


class Load:
    """`async with Load(plan) as load:` or start and stop; `snapshot()` at any time."""

    def __init__(self, plan: Plan, *, calls: Calls = Call, seed: int = 0) -> None:
        """`calls` makes the next request; without, all are the same GET."""
        self.plan = plan
        self._calls = calls
        self._ledger = Ledger()
        self._random = random.Random(seed)  # noqa: S311 - which requests get a connection of their own
        self._under_way: set[asyncio.Task[None]] = set()
        self._sending: asyncio.Task[None] | None = None
        self._defect: BaseException | None = None
        """What a request failed with that is neither an answer nor the lack of one."""
        self._began = 0.0
        self._ended = 0.0

    async def start(self) -> None:
        timeout = aiohttp.ClientTimeout(total=self.plan.timeout)
        self._kept = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60), timeout=timeout, auto_decompress=False
        )
        self._fresh = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True), timeout=timeout, auto_decompress=False
        )
        self._began = time.monotonic()
        self._sending = asyncio.create_task(self._send_at_rate())

    async def stop(self) -> Snapshot:
        """Send no more, wait for the answers that are due (at most the timeout), and count."""
        if self._sending is not None:
            self._sending.cancel()
            with suppress(asyncio.CancelledError):
                await self._sending
        self._ended = self._ended or time.monotonic()
        if self._under_way:
            await asyncio.wait(self._under_way)
        await asyncio.gather(self._kept.close(), self._fresh.close())
        if self._defect is not None:
            raise self._defect
        return self.snapshot()

    async def finished(self) -> None:
        """Returns when the plan's seconds are over; what is in flight then is `stop`'s to wait for."""
        if self._sending is not None:
            await asyncio.wait([self._sending])

    def snapshot(self) -> Snapshot:
        until = self._ended or time.monotonic()
        return self._ledger.frozen(seconds=until - self._began)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _send_at_rate(self) -> None:
        plan, due, last = self.plan, 0, round(self.plan.rate * self.plan.seconds)
        while due < last:
            until = min(last, int((time.monotonic() - self._began) * plan.rate) + 1)
            while due < until:
                self._send(self._began + due / plan.rate)
                due += 1
            await asyncio.sleep(max(_TICK_S, self._began + due / plan.rate - time.monotonic()))
        self._ended = time.monotonic()

    def _send(self, due_at: float) -> None:
        if len(self._under_way) >= self.plan.in_flight:
            self._ledger.skipped += 1
            return
        call = self._calls()
        self._ledger.sent += 1
        fresh = self.plan.fresh > 0 and self._random.random() < self.plan.fresh
        task = asyncio.create_task(self._request(self._fresh if fresh else self._kept, call, due_at))
        self._under_way.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (defect := task.exception()) is not None and self._sending is not None:
            # a request that was neither answered nor lost would be missing in the count: the load ends with the reason
            self._defect = self._defect or defect
            self._sending.cancel()

    async def _request(self, session: aiohttp.ClientSession, call: Call, due_at: float) -> None:
        url = self.plan.url.join(URL(call.path)) if call.path else self.plan.url
        headers = {**call.headers, "Host": self.plan.host}
        try:
            async with session.request(
                call.method, url, headers=headers, data=call.body or None, allow_redirects=False
            ) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            self._ledger.lost(type(problem).__name__, time.time())
            return
        self._ledger.answered(
            revision=response.headers.get("X-Revision", ""),
            code=response.status,
            at=time.time(),
            ms=(time.monotonic() - due_at) * 1_000,
            body=body,
        )
