"""One message from its claim to its end.

The order of things is what makes the effect happen once: claim before work, renew the lease before the visibility,
finish on condition of the fence, delete last. A worker that may have lost its job stops and touches nothing.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count
from typing import Any, assert_never

from botocore.exceptions import BotoCoreError, ClientError
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from workloads.common.attempt import (
    Around,
    LaterError,
    RefusedError,
    Rules,
    UnknownKindError,
    Work,
    nothing_around,
)
from workloads.common.aws import OutageError, patiently
from workloads.common.aws import code as code_of
from workloads.common.gate import Gate
from workloads.common.held import Cut, Held, of
from workloads.common.job import BadMessageError, Job, parse
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
    Result,
    Unreadable,
    Watcher,
)
from workloads.common.job_queue import JobQueue, Message
from workloads.common.job_result import ResultError, stored_form
from workloads.common.job_row import Row
from workloads.common.job_table import Barred, Busy, Claim, Claimed, Completed, Failed, JobTable, OtherBody
from workloads.common.stages import Observer, Stage, unobserved

log = logging.getLogger(__name__)

AWS_TROUBLE = (BotoCoreError, ClientError, OutageError)
_INVALID = "ValidationException"
_LONGEST_BARRED_S = 60.0


class Attempts:
    def __init__(
        self,
        *,
        queue: JobQueue,
        table: JobTable,
        work: Work,
        gate: Gate,
        rules: Rules,
        watchers: Sequence[Watcher] = (),
        around: Around = nothing_around,
        observer: Observer = unobserved,
    ) -> None:
        self.handing_back = asyncio.Event()
        """Set: what still runs is to be handed back."""
        self._queue = queue
        self._table = table
        self._work = work
        self._gate = gate
        self._rules = rules
        self._watchers = watchers
        self._around = around
        self._observer = observer
        self._clock = asyncio.get_running_loop().time
        self._keys = count(1)

    def tell(self, event: Event) -> None:
        for watcher in self._watchers:
            watcher(event)

    async def handle(self, message: Message, epoch: int) -> None:
        """Never raises for what AWS or a job does: the message comes again by itself."""
        try:
            await self._handle(message, epoch)
        except AWS_TROUBLE as problem:
            log.warning("a message is left to come again", extra={"fields": {"why": str(problem)}})
        except Exception:
            log.exception("a defect; the message comes again")

    def clock_off_s(self) -> float:
        return self._table.clock_off_s()

    async def put_back(self, message: Message, seconds: float = 0.0) -> None:
        try:
            await self._queue.put_off(message, seconds)
        except AWS_TROUBLE as problem:
            log.warning("a message could not be put back; it comes by itself", extra={"fields": {"why": str(problem)}})

    async def _handle(self, message: Message, epoch: int) -> None:
        received = self._clock()
        try:
            job = parse(message.body)
        except BadMessageError as problem:
            self.tell(Unreadable())
            log.warning(
                "the message has no valid job_id; SQS will move it to the dead letter queue",
                extra={"fields": {"why": str(problem), "receives": message.receives}},
            )
            return
        self._observer(Stage.RECEIVED, job.job_id)
        canary, on_trial = self._gate.is_canary, self._gate.is_on_trial
        # nobody else takes the job from a version on trial, so it tries again itself; a canary leaves it to stable
        tries = self._rules.max_attempts if on_trial else 1

        async def claim() -> tuple[Claimed, float]:
            begun = self._clock()
            found = await self._table.claim(
                job.job_id, created_at=message.sent_at, canary=canary or on_trial, tries=tries, digest=job.digest
            )
            return found, begun + self._table.terms.lease

        # An outage keeps the slot, so that the loop does not run through the whole backlog in vain.
        found, deadline = await patiently(claim, seconds=self._rules.visibility / 2)
        match found:
            case Claim():
                held = Held(message, found, epoch, deadline, next(self._keys), received)
                await self._claimed(held, job)
            case Completed():
                await self._delete(message, job.job_id)
            case Failed(row):
                await self._bury(message, row)
            case Busy(rest):
                await self.put_back(message, rest + self._jitter() * min(rest, self._rules.beat) + 1)
            case Barred():
                await self.put_back(message, self._barred_s(message.receives - tries) if on_trial else 0.0)
            case OtherBody(row):
                await self._reject(message, row)
            case _:
                assert_never(found)

    async def _claimed(self, held: Held, job: Job) -> None:
        row = held.claim.row
        self._observer(Stage.CLAIMED, job.job_id)
        if row.attempts == 1 and held.message.receives == 1:
            self.tell(Dequeued(max(0.0, row.started_at / 1000 - held.message.sent_at)))
        if row.attempts == 2:  # noqa: PLR2004
            self.tell(NeededMore(row.first_version))
        if held.claim.first_died:
            self.tell(FirstOutcome(row.first_version, failed=True))
        if not held.claim.canary and row.counted > self._rules.max_attempts:
            why = f"{self._rules.max_attempts} attempts came to no end: the worker died, or lost its lease"
            await self._end_failed(held, f"{why}; before that: {row.last_error}" if row.last_error else why, final=True)
            return
        with self._around(held.message, job, held.claim):
            self.tell(Begun(held.key))
            result = Result.LOST
            try:
                result = await self._attempt(held, job)
            finally:
                seconds = self._clock() - held.received
                self.tell(Attempted(held.key, held.claim.is_first, result, seconds))

    async def _attempt(self, held: Held, job: Job) -> Result:
        over = asyncio.Event()
        working = asyncio.ensure_future(self._work(job, held.claim))
        beating = asyncio.create_task(self._beat(held, over))
        cutting = asyncio.create_task(self.handing_back.wait())
        try:
            await asyncio.wait(
                {working, beating, cutting}, timeout=self._rules.longest_job, return_when=asyncio.FIRST_COMPLETED
            )
            over.set()
            ended = working.done()
            cut = await beating  # a renewal under way ends before anything else is written
        finally:
            for task in (working, beating, cutting):
                task.cancel()
            await asyncio.wait({working, beating, cutting})
        if cut is Cut.LOST or self._clock() >= held.deadline:
            self.tell(LeaseLost())
            trace.get_current_span().set_status(StatusCode.ERROR, "the lease was lost")
            log.warning("a lease is lost and its job left alone", extra=of(held))
            return Result.LOST
        if not ended and (cut is Cut.STOPPED or self.handing_back.is_set()):
            return await self._hand_back(held, 0.0)
        if not ended:
            return await self._end_failed(held, f"took longer than {self._rules.longest_job:g} s", final=False)
        return await self._end(held, working)

    async def _end(self, held: Held, working: asyncio.Future[Mapping[str, Any]]) -> Result:
        match working.exception():
            case None:
                try:
                    result = stored_form(working.result())
                except ResultError as problem:  # doing it again would bring the same
                    return await self._end_failed(held, str(problem), final=True)
                return await self._end_done(held, result)
            case RefusedError() as refusal:
                return await self._end_failed(held, str(refusal), final=True)
            case UnknownKindError() as unknown:
                waited = time.time() - held.claim.row.created_at / 1000
                return await self._end_failed(held, str(unknown), final=waited > self._rules.unknown_kind, spared=True)
            case OutageError() as outage:
                log.warning("an outage ends an attempt, which does not count", extra=of(held, why=str(outage)))
                return await self._hand_back(held, self._rules.pause(held.message.receives))
            case LaterError() as later:
                log.info("put off", extra=of(held, why=str(later), seconds=round(later.seconds)))
                return await self._hand_back(held, later.seconds)
            case Exception() as problem:
                trace.get_current_span().record_exception(problem)
                return await self._end_failed(held, f"{type(problem).__name__}: {problem}", final=False)
            case problem:
                raise problem

    async def _beat(self, held: Held, over: asyncio.Event) -> Cut | None:
        """Renews the lease, then the visibility: what is not one's own any more must not stay hidden from others."""
        due = self._clock() + self._rules.beat
        while not await _set_by(over, min(due, held.deadline) - self._clock()):
            if self._gate.is_stopped(held.epoch):
                return Cut.STOPPED
            begun = self._clock()
            if begun >= held.deadline:
                return Cut.LOST
            due = begun + self._rules.beat
            try:
                async with asyncio.timeout(held.deadline - begun):
                    if not await self._table.renew(held.claim):
                        return Cut.LOST
            except TimeoutError:
                return Cut.LOST
            except AWS_TROUBLE as problem:
                log.warning("a lease could not be renewed yet", extra=of(held, why=str(problem)))
                due = begun + self._rules.beat / 4
                continue
            held.deadline = begun + self._table.terms.lease
            try:
                await self._queue.extend(held.message, self._rules.visibility)
            except AWS_TROUBLE as problem:  # then it comes to somebody, who finds it busy
                log.warning("a message could not be kept hidden", extra=of(held, why=str(problem)))
        return None

    async def _end_done(self, held: Held, result: Mapping[str, Any]) -> Result:
        row = held.claim.row
        try:
            if not await self._write(held, lambda: self._table.finish(held.claim, result)):
                return Result.LOST
        except ClientError as problem:
            if code_of(problem) != _INVALID:
                raise
            return await self._end_failed(held, f"the result cannot be stored: {problem}", final=True)
        self._observer(Stage.FINISHED, row.job_id)
        if held.claim.is_first:
            self.tell(FirstOutcome(row.first_version, failed=False))
        self.tell(Ended(row.first_version, completed=True))
        log.info("completed", extra=of(held))
        await self._delete(held.message, row.job_id)
        return Result.OK

    async def _end_failed(self, held: Held, why: str, *, final: bool, spared: bool = False) -> Result:
        """A failure of a version that is not trusted yet may be its own, so it never ends a job. `spared`: it does not
        count against the job either way.
        """
        trace.get_current_span().set_status(StatusCode.ERROR, why)
        row, claim = held.claim.row, held.claim
        last = not claim.canary and (final or (row.counted >= self._rules.max_attempts and not spared))
        if not await self._write(held, lambda: self._table.fail(claim, why, final=last, spared=spared)):
            return Result.LOST
        log.warning("dead-lettered" if last else "failed, to be tried again", extra=of(held, why=why))
        if claim.is_first:
            self.tell(FirstOutcome(row.first_version, failed=True))
        if last:
            self.tell(Ended(row.first_version, completed=False))
            now = await self._table.get(row.job_id)
            await self._bury(held.message, now or row)
        else:
            failures = max(row.counted, row.failed_by.get(row.version, 0) + 1)
            await self.put_back(held.message, self._rules.pause(failures))
        return Result.FAILED

    async def _hand_back(self, held: Held, seconds: float) -> Result:
        if not await self._write(held, lambda: self._table.hand_back(held.claim)):
            return Result.LOST
        log.info("handed back", extra=of(held))
        await self.put_back(held.message, seconds)
        return Result.HANDED_BACK

    async def _write(self, held: Held, write: Callable[[], Awaitable[bool]]) -> bool:
        """Tries through an outage for as long as the lease lasts. False: somebody else has the job."""
        done = await patiently(write, seconds=max(0.0, held.deadline - self._clock()))
        if not done:
            self.tell(Fenced())
            trace.get_current_span().set_status(StatusCode.ERROR, "fenced: somebody else has the job")
            log.warning("fenced: somebody else has the job", extra=of(held))
        return done

    async def _bury(self, message: Message, row: Row) -> None:
        if not row.dead_lettered_at:
            why = {
                "job_id": row.job_id,
                "attempts": str(row.attempts),
                "last_error": row.last_error,
                "version": row.version,
            }
            await self._queue.bury(message, why)
            await self._table.note_dead_letter(row.job_id)
        await self._delete(message, row.job_id)

    async def _reject(self, message: Message, row: Row) -> None:
        """It is no repetition, so it must not vanish as one; the job that has the id is left alone."""
        why = f"job_id: {row.job_id!r} belongs to a job with another body. Send this one under an id of its own"
        log.warning("dead-lettered: the job id is taken", extra={"fields": {"job": row.job_id}})
        await self._queue.bury(message, {"job_id": row.job_id, "attempts": "0", "last_error": why})
        await self._delete(message, row.job_id)

    async def _delete(self, message: Message, job_id: str) -> None:
        try:
            await self._queue.delete(message)
        except AWS_TROUBLE as problem:  # it comes again and is found ended
            log.info("a message could not be deleted", extra={"fields": {"job": job_id, "why": str(problem)}})
        else:
            self._observer(Stage.DELETED, job_id)

    def _barred_s(self, receives: int) -> float:
        """Nobody else takes it until the trial is over, so it would come here over and over."""
        return float(min(_LONGEST_BARRED_S, 2.0 ** min(max(0, receives), 10)))

    def _jitter(self) -> float:
        return random.random()  # noqa: S311


async def _set_by(event: asyncio.Event, seconds: float) -> bool:
    """Whether it is set before so many seconds are over."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await event.wait()
    except TimeoutError:
        return event.is_set()
    return True
