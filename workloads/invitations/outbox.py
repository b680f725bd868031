"""Brings what the outbox holds to the queue, at least once; the sender's claim makes it once.

A row is taken for a while by whichever relay comes first (SKIP LOCKED: they do not wait for each other), sent, and
noted as sent. No transaction is open while the queue is waited for. A relay that dies in between leaves its rows to
another after that while; one that lost the database goes on with its note until it is written, and sends nothing twice.
"""

import asyncio
import json
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from workloads.common.aws import Aws
from workloads.common.ending import end
from workloads.common.job_queue import TRACEPARENT
from workloads.invitations.database import Database, DatabaseGoneError, Dialect
from workloads.invitations.status import Status, may_become

log = logging.getLogger(__name__)

_BATCH = 10  # SQS takes no more at once
_BATCHES = 8
_MOST = _BATCH * _BATCHES
_TAKEN_MS = 60_000
_IDLE_S = 0.25
_TROUBLED_S = (0.25, 5.0)
_LAST_TURN_S = 10.0


# The same text however many there are: each other one would be prepared anew, and drive others out.
_PLACES = ", ".join(f"${place}" for place in range(2, 2 + _MOST))
_OLDEST = """
SELECT CASE WHEN due_at > created_at THEN due_at ELSE created_at END AS since FROM outbox
WHERE sent_at IS NULL AND due_at <= $1 ORDER BY due_at, position LIMIT 1
"""
_NOTE_SENT = f"UPDATE outbox SET sent_at = $1 WHERE position IN ({_PLACES})"  # noqa: S608 - constants
_NOTE_TAKEN = f"UPDATE outbox SET taken_at = $1 WHERE position IN ({_PLACES})"  # noqa: S608 - constants
_NOTE_QUEUED = f"""
UPDATE invitations SET status = $1
WHERE {may_become(Status.QUEUED)} AND invitation_id IN (SELECT invitation_id FROM outbox WHERE position IN ({_PLACES}))
"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class _Entry:
    position: int
    invitation_id: str
    trace_parent: str


class Relay:
    """One of a process. `clock`: milliseconds since 1970."""

    def __init__(self, database: Database, aws: Aws, queue_url: str, *, clock: Callable[[], int]) -> None:
        self._database = database
        self._aws = aws
        self._queue_url = queue_url
        self._clock = clock
        skip = "FOR UPDATE SKIP LOCKED" if database.dialect is Dialect.POSTGRESQL else ""
        self._take_sql = f"""
        UPDATE outbox SET taken_at = $1 WHERE position IN (
          SELECT position FROM outbox
          WHERE sent_at IS NULL AND due_at <= $1 AND (taken_at IS NULL OR taken_at < $2)
          ORDER BY due_at, position LIMIT {_MOST} {skip}
        ) RETURNING position, invitation_id,
          (SELECT trace_parent FROM invitations WHERE invitations.invitation_id = outbox.invitation_id) AS trace_parent
        """  # noqa: S608 - constants
        self.lag_s = 0.0
        """How long the oldest row has been due that was not sent when last looked at."""

    async def run(self) -> None:
        """Until it is cancelled; a turn under way is ended before. Nothing that is away ends it."""
        pause, longest = _TROUBLED_S
        while True:
            try:
                sent = await self._whole_turn()
            except (DatabaseGoneError, BotoCoreError, ClientError) as problem:
                log.warning("the outbox waits", extra={"fields": {"why": str(problem)}})
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                pause = min(pause * 2, longest)
                continue
            pause = _TROUBLED_S[0]
            if sent < _BATCH:
                await asyncio.sleep(_IDLE_S * random.uniform(0.5, 1.0))  # noqa: S311 - jitter

    async def _whole_turn(self) -> int:
        """What is taken and not noted would wait for a minute, each time that a pod is replaced."""
        turn = asyncio.create_task(self.turn())
        try:
            return await asyncio.shield(turn)
        except asyncio.CancelledError:
            await asyncio.wait({turn}, timeout=_LAST_TURN_S)
            await end(turn)
            raise

    async def turn(self) -> int:
        """How many it sent. Raises DatabaseGoneError, and what boto3 raises when nothing could be sent."""
        entries = await self._take()
        if not entries:
            self.lag_s = 0.0
            return 0
        batches = [entries[start : start + _BATCH] for start in range(0, len(entries), _BATCH)]
        done = await asyncio.gather(*(self._send(batch) for batch in batches), return_exceptions=True)
        sent = [position for each in done if not isinstance(each, BaseException) for position in each]
        await self._note(sent, [each.position for each in entries if each.position not in set(sent)])
        for each in done:
            if isinstance(each, BaseException):
                raise each
        return len(sent)

    async def _take(self) -> list[_Entry]:
        now = self._clock()
        async with self._database.transaction() as rows:
            oldest = await rows.fetch(_OLDEST, now)
            self.lag_s = max(0, now - oldest[0]["since"]) / 1000 if oldest else 0.0
            found = await rows.fetch(self._take_sql, now, now - _TAKEN_MS) if oldest else []
        return sorted(
            (_Entry(row["position"], row["invitation_id"], row["trace_parent"]) for row in found),
            key=lambda entry: entry.position,
        )

    async def _send(self, batch: Sequence[_Entry]) -> list[int]:
        """Positions of those that the queue took. Raises what boto3 raises."""
        answer = await self._aws.call(
            self._aws.sqs.send_message_batch,
            QueueUrl=self._queue_url,
            Entries=[
                {
                    "Id": str(place),
                    "MessageBody": json.dumps({"job_id": entry.invitation_id}),
                    "MessageAttributes": {TRACEPARENT: {"DataType": "String", "StringValue": entry.trace_parent}},
                }
                for place, entry in enumerate(batch)
            ],
        )
        for refused in answer.get("Failed", ()):
            log.warning("the queue refuses a message", extra={"fields": {"code": refused.get("Code")}})
        return [batch[int(taken["Id"])].position for taken in answer.get("Successful", ())]

    async def _note(self, sent: Sequence[int], unsent: Sequence[int]) -> None:
        """Through an outage of the database, however long: nobody else knows that these were sent."""
        pause, longest = _TROUBLED_S
        while True:
            try:
                await self._write(sent, unsent)
            except DatabaseGoneError as problem:
                log.warning("what was sent cannot be noted", extra={"fields": {"why": str(problem)}})
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                pause = min(pause * 2, longest)
            else:
                return

    async def _write(self, sent: Sequence[int], unsent: Sequence[int]) -> None:
        async with self._database.transaction() as rows:
            if sent:
                await rows.execute(_NOTE_SENT, self._clock(), *_padded(sent))
                await rows.execute(_NOTE_QUEUED, Status.QUEUED, *_padded(sent))
            if unsent:
                await rows.execute(_NOTE_TAKEN, None, *_padded(unsent))


def _padded(positions: Sequence[int]) -> list[int]:
    """To as many as there are places; no row has the position 0."""
    return [*positions, *[0] * (_MOST - len(positions))]
