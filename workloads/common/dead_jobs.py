"""What a person does with jobs in the dead letter queue: look at them, and bring them back."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from enum import StrEnum

from workloads.common.job import BadMessageError, parse
from workloads.common.job_queue import DeadLetters, JobQueue, Message
from workloads.common.job_row import State
from workloads.common.job_table import JobTable


class Redriven(StrEnum):
    SENT = "sent again"
    COMPLETED = "completed meanwhile, taken off"
    UNREADABLE = "no valid job_id, left"
    TAKEN = "its job_id belongs to a job with another body, left"


LEFT = frozenset({Redriven.UNREADABLE, Redriven.TAKEN})


@dataclass(frozen=True, slots=True)
class Dead:
    job_id: str
    attempts: str
    last_error: str
    version: str
    body: str


class DeadJobs:
    def __init__(self, table: JobTable, queue: JobQueue, dead: DeadLetters) -> None:
        self._table = table
        self._queue = queue
        self._dead = dead

    async def dead(self, *, most: int) -> list[Dead]:
        """Looks at them and puts them back; who looks at the same time may see fewer."""
        taken: list[Message] = []
        while len(taken) < most and (several := await self._dead.take(hidden_s=30)):
            taken += several
        for message in taken:
            await self._dead.show_again(message)
        return [await self._told(_dead(message)) for message in taken[:most]]

    async def redrive(self, *, most: int, only: str = "") -> AsyncIterator[tuple[str, Redriven]]:
        """Sends them to the queue again, with all their attempts before them; `only` one job.

        Reset, send, delete: a crash in between leaves a message too many, which the claim makes nothing of.
        """
        left: list[Message] = []
        done: set[str] = set()
        while len(done) < most and (messages := await self._dead.take(hidden_s=60)):
            # One that dies again meanwhile comes back here: it is not sent for ever.
            again = [message for message in messages if message.body in done]
            for message in messages:
                if len(done) == most or message.body in done or not _wanted(message, only):
                    left.append(message)
                    continue
                done.add(message.body)
                outcome = await self._redrive(message)
                if outcome in LEFT:
                    left.append(message)
                yield _dead(message).job_id, outcome
            if len(again) == len(messages):
                break
        for message in left:
            await self._dead.show_again(message)

    async def _told(self, dead: Dead) -> Dead:
        """With the row's story, where the message brought none: the redrive policy moved it, or it was too large."""
        if dead.attempts or not dead.job_id or (row := await self._table.get(dead.job_id)) is None:
            return dead
        return replace(dead, attempts=str(row.attempts), last_error=row.last_error, version=row.version)

    async def _redrive(self, message: Message) -> Redriven:
        try:
            job = parse(message.body)
        except BadMessageError:
            return Redriven.UNREADABLE
        row = await self._table.reset(job.job_id, digest=job.digest)
        if row is not None and not row.is_of(job.digest):
            return Redriven.TAKEN
        if row is not None and row.state is State.COMPLETED:
            await self._dead.delete(message)
            return Redriven.COMPLETED
        await self._queue.send_again(message)
        await self._dead.delete(message)
        return Redriven.SENT


def _wanted(message: Message, only: str) -> bool:
    return not only or _dead(message).job_id == only


def _dead(message: Message) -> Dead:
    try:
        job_id = parse(message.body).job_id
    except BadMessageError:
        job_id = ""
    about = message.attributes
    return Dead(job_id, about.get("attempts", ""), about.get("last_error", ""), about.get("version", ""), message.body)
