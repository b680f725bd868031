"""What people and other services do with jobs: send them, look at them, and bring dead ones back."""

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from workloads.common.aws import Aws
from workloads.common.job import BadMessageError, parse
from workloads.common.job_queue import DeadLetters, JobQueue, Message
from workloads.common.job_row import Row, State
from workloads.common.job_table import JobTable, Terms
from workloads.image_worker.settings import Places


class Send(Protocol):
    def __call__(self, job_id: str) -> AbstractContextManager[Mapping[str, str]]:
        """A span, with what the message is to carry of it."""
        ...


class Redriven(StrEnum):
    SENT = "sent again"
    COMPLETED = "completed meanwhile, taken off"
    UNREADABLE = "names no job, left"


@dataclass(frozen=True, slots=True)
class Dead:
    job_id: str
    attempts: str
    last_error: str
    version: str
    body: str


class Producer:
    def __init__(self, aws: Aws, places: Places, *, send: Send) -> None:
        terms = Terms(lease=0)  # it claims nothing
        self._table = JobTable(aws, places.jobs, owner="producer", revision="producer", terms=terms)
        self._queue = JobQueue(
            aws, places.queue, dead_letters=places.dead_letters, wait_s=0, visibility_s=0, renew_after=1
        )
        self._dead = DeadLetters(aws, places.dead_letters)
        self._send = send

    async def enqueue(self, body: Mapping[str, Any]) -> Row | None:
        """Sends it, and notes it as PENDING. A job that is known already is not sent, and answered.

        Sent first: a note without a message would wait for ever, a message without a note is worked on all the same.
        Raises BadMessageError.
        """
        text = json.dumps(body)
        job = parse(text)
        if known := await self._table.get(job.job_id):
            return known
        with self._send(job.job_id) as attributes:
            await self._queue.send(text, attributes)
        await self._table.note(job.job_id, created_at=time.time())
        return None

    async def status(self, job_id: str) -> Row | None:
        return await self._table.get(job_id)

    async def dead(self, *, most: int) -> list[Dead]:
        """Looks at them and puts them back; who looks at the same time may see fewer."""
        taken: list[Message] = []
        while len(taken) < most and (several := await self._dead.take(hidden_s=30)):
            taken += several
        for message in taken:
            await self._dead.show_again(message)
        return [_dead(message) for message in taken[:most]]

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
                if outcome is Redriven.UNREADABLE:
                    left.append(message)
                yield _dead(message).job_id, outcome
            if len(again) == len(messages):
                break
        for message in left:
            await self._dead.show_again(message)

    async def _redrive(self, message: Message) -> Redriven:
        try:
            job = parse(message.body)
        except BadMessageError:
            return Redriven.UNREADABLE
        row = await self._table.reset(job.job_id)
        if row is not None and row.state is State.COMPLETED:
            await self._dead.delete(message)
            return Redriven.COMPLETED
        carried = {name: value for name, value in message.attributes.items() if name == "traceparent"}
        await self._queue.send(message.body, carried)
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
