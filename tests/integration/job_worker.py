"""A consumer in the test's own process, whose work is what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from tests.image_jobs import Jobs
from workloads.common import attempt
from workloads.common.attempt import Rules
from workloads.common.attempts import Attempts
from workloads.common.consumer import Capacity, Consumer
from workloads.common.gate import Gate, Open
from workloads.common.job import Job
from workloads.common.job_events import Event
from workloads.common.job_queue import JobQueue
from workloads.common.job_table import Claim, JobTable

PATIENT = Rules(visibility=30, max_attempts=3, longest_job=60, first_pause=0.2, longest_pause=0.5)
"""Of a job whose lease has to last on a busy machine."""
RULES = Rules(visibility=3, max_attempts=3, longest_job=20, first_pause=0.2, longest_pause=0.5)


class Work:
    """Counts, waits and fails as it is told."""

    def __init__(self, *, seconds: float = 0, fails: Mapping[str, Exception] | None = None) -> None:
        self.seconds = seconds
        self.fails = dict(fails or {})
        self.begun: list[str] = []
        self.now: list[str] = []
        self.most = 0
        self.cancelled: list[str] = []

    async def __call__(self, job: Job, claim: Claim) -> Mapping[str, Any]:
        self.begun.append(job.job_id)
        self.now.append(job.job_id)
        self.most = max(self.most, len(self.now))
        assert self.now.count(job.job_id) == 1, "two at once"
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled.append(job.job_id)
            raise
        finally:
            self.now.remove(job.job_id)
        if problem := self.fails.get(job.job_id):
            raise problem
        return {"done_by": job.job_id}


class Worker:
    def __init__(self, consumer: Consumer, stop: asyncio.Event, events: list[Event]) -> None:
        self.consumer = consumer
        self.stop = stop
        self.events = events

    def saw(self, event: Event) -> int:
        return self.events.count(event)


@asynccontextmanager
async def worker(
    jobs: Jobs,
    does: attempt.Work,
    *,
    revision: str = "aaaaaaaaaa",
    gate: Gate | None = None,
    rules: Rules = RULES,
    slots: int = 2,
    drain: float = 5,
    table: JobTable | None = None,
    queue: JobQueue | None = None,
    around: attempt.Around = attempt.nothing_around,
) -> AsyncIterator[Worker]:
    """Stopped and drained at the end."""
    events: list[Event] = []
    stop = asyncio.Event()
    gate = gate or Open()
    queue = queue or jobs.queue(visibility_s=round(rules.visibility))
    attempts = Attempts(
        queue=queue,
        table=table or jobs.table(revision),
        work=does,
        gate=gate,
        rules=rules,
        watchers=[events.append],
        around=around,
    )
    consumer = Consumer(queue=queue, attempts=attempts, gate=gate, capacity=Capacity(slots=slots, drain=drain))
    running = asyncio.create_task(consumer.run(stop))
    try:
        yield Worker(consumer, stop, events)
    finally:
        stop.set()
        await running
