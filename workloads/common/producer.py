"""What people and other services do with jobs: send them, look at them, and bring dead ones back."""

import json
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from workloads.common.aws import Aws
from workloads.common.dead_jobs import DeadJobs
from workloads.common.job import Job, parse
from workloads.common.job_queue import DeadLetters, JobQueue
from workloads.common.job_row import Row
from workloads.common.job_table import JobTable, Terms


class Places(Protocol):
    """Two queues, by their URLs, and the table of jobs."""

    @property
    def queue(self) -> str: ...

    @property
    def dead_letters(self) -> str: ...

    @property
    def jobs(self) -> str: ...


class OtherBodyError(ValueError):
    """The id belongs to another job."""


class Send(Protocol):
    def __call__(self, job_id: str) -> AbstractContextManager[Mapping[str, str]]:
        """A span, with what the message is to carry of it."""
        ...


class Producer(DeadJobs):
    def __init__(self, aws: Aws, places: Places, *, send: Send) -> None:
        terms = Terms(lease=0)  # it claims nothing
        super().__init__(
            JobTable(aws, places.jobs, owner="producer", revision="producer", terms=terms),
            JobQueue(aws, places.queue, dead_letters=places.dead_letters, wait_s=0, visibility_s=0, renew_after=1),
            DeadLetters(aws, places.dead_letters),
        )
        self._send = send

    async def enqueue(self, body: Mapping[str, Any]) -> Row | None:
        """Sends it, and notes it as PENDING. A job that is known already is not sent, and its row is returned.

        Sent first: a note without a message would wait for ever, a message without a note is worked on all the same.
        Raises BadMessageError, OtherBodyError.
        """
        text = json.dumps(body)
        job = parse(text)
        if known := await self.find(job):
            return known
        with self._send(job.job_id) as attributes:
            await self._queue.send(text, attributes)
        await self._table.note(job.job_id, created_at=time.time(), digest=job.digest)
        return None

    async def find(self, job: Job) -> Row | None:
        """The job's row, if it is known already. Raises OtherBodyError."""
        known = await self._table.get(job.job_id)
        if known is not None and not known.is_of(job.digest):
            raise OtherBodyError(f"job {job.job_id!r} is {known.state} with another body. Use another id")
        return known

    async def status(self, job_id: str) -> Row | None:
        return await self._table.get(job_id)
