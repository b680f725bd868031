"""Takes messages from the queue, as many as there are free slots and the gate permits.

Nothing is taken ahead, and an open poll is never aborted: its messages would be invisible, and nobody's, for the
whole visibility timeout. So the end takes as long as a poll may last.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass

from workloads.common.attempts import AWS_TROUBLE, Attempts
from workloads.common.backoff import Pauses
from workloads.common.ending import log_defect
from workloads.common.gate import Gate, Permit
from workloads.common.job_events import Received
from workloads.common.job_queue import JobQueue, Message

log = logging.getLogger(__name__)

_PAUSE_S = (0.5, 20.0)
_ASK_CLOCK_S = 2.0
_TELL_CLOCK_S = 60.0


@dataclass(frozen=True, slots=True)
class Capacity:
    slots: int
    """Jobs at a time."""
    drain: float
    """Seconds, from the end of the last poll, that running jobs have before they are handed back."""


class Consumer:
    def __init__(self, *, queue: JobQueue, attempts: Attempts, gate: Gate, capacity: Capacity) -> None:
        self._queue = queue
        self._attempts = attempts
        self._gate = gate
        self._capacity = capacity
        self._running: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()
        self._pauses = Pauses(*_PAUSE_S)
        self._clock = asyncio.get_running_loop().time
        self._polling_since: float | None = None
        self.clock_is_wrong = False
        """No job is taken until it is right."""

    @property
    def running(self) -> int:
        return len(self._running)

    def polls_for(self) -> float:
        """Seconds that the poll under way has taken, 0 for none. Far more than its wait: the process is not well."""
        return 0.0 if self._polling_since is None else self._clock() - self._polling_since

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; then what runs has `drain` seconds to end before it is handed back."""
        try:
            while await self._free(stop) and await self._clock_right(stop):
                permit = await self._permitted(stop)
                if permit is None:
                    break
                await self._poll(permit, stop)
        finally:
            await self._drain()

    async def _free(self, stop: asyncio.Event) -> bool:
        """Waits for a free slot; False: stopped."""
        while len(self._running) >= self._capacity.slots and not stop.is_set():
            self._ended.clear()
            await _first(self._ended.wait(), stop.wait())
        return not stop.is_set()

    async def _permitted(self, stop: asyncio.Event) -> Permit | None:
        asking = asyncio.create_task(self._gate.permit(self._capacity.slots - len(self._running)))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({asking, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            if not asking.done():
                asking.cancel()  # gives nothing away
            await asyncio.wait({asking, stopping})
        return None if asking.cancelled() else asking.result()

    async def _poll(self, permit: Permit, stop: asyncio.Event) -> None:
        messages: list[Message] = []
        failed = False
        if not stop.is_set():
            self._polling_since = self._clock()
            try:
                messages = await asyncio.shield(self._queue.receive(permit.messages, wait_s=permit.wait_s))
            except AWS_TROUBLE as problem:
                failed = True
                log.warning("the queue cannot be polled", extra={"fields": {"why": str(problem)}})
            finally:
                self._polling_since = None
        granted = await permit.settle(len(messages))
        if messages:
            self._attempts.tell(Received(len(messages)))
        if stop.is_set() or not granted or self._attempts.clock_off_s():
            await asyncio.gather(*(self._attempts.put_back(message) for message in messages))
            return
        for message in messages:
            task = asyncio.create_task(self._attempts.handle(message, permit.epoch), name="an attempt")
            self._running.add(task)
            task.add_done_callback(self._over)
        if failed:
            await self._rest(stop)
        else:
            self._pauses.again()

    async def _clock_right(self, stop: asyncio.Event) -> bool:
        """Waits while a claim could take a job that another holds. False: stopped."""
        told_at = float("-inf")
        while (off := self._attempts.clock_off_s()) and not stop.is_set():
            self.clock_is_wrong = True
            if self._clock() - told_at >= _TELL_CLOCK_S:
                told_at = self._clock()
                why = f"this clock is {abs(off):.1f} s {'ahead of' if off > 0 else 'behind'} the clock of AWS"
                log.error("no job is taken: set the clock", extra={"fields": {"why": why}})
            with suppress(TimeoutError):
                async with asyncio.timeout(_ASK_CLOCK_S):
                    await stop.wait()
            with suppress(*AWS_TROUBLE):  # its answer tells the time
                await self._queue.depth()
        if self.clock_is_wrong:
            self.clock_is_wrong = False
            log.info("the clock is right again")
        return not stop.is_set()

    def _over(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._ended.set()
        log_defect(task)  # its message comes back when its visibility ends

    async def _rest(self, stop: asyncio.Event) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pauses.next_s()):
                await stop.wait()

    async def _drain(self) -> None:
        if self._running:
            log.info("draining", extra={"fields": {"jobs": len(self._running), "seconds": self._capacity.drain}})
            await asyncio.wait(self._running, timeout=self._capacity.drain)
        self._attempts.handing_back.set()
        if self._running:
            await asyncio.wait(self._running)


async def _first(*waits: object) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]  # type: ignore[call-overload]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
