"""An image worker's surroundings for tests and benchmarks: queues, tables and a bucket, and what became of the jobs."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from tests.e2e.patience import until
from workloads.common.aws import Aws
from workloads.common.job_queue import DeadLetters, JobQueue
from workloads.common.job_row import Row, State
from workloads.common.job_table import JobTable, Terms
from workloads.common.producer import Producer
from workloads.image_worker import audit
from workloads.image_worker.cli import variables
from workloads.image_worker.provision import provision, remove
from workloads.image_worker.settings import Places

SMALL = {"kind": "render", "width": 32, "height": 32}


@dataclass(frozen=True)
class Jobs:
    aws: Aws
    places: Places
    producer: Producer

    @classmethod
    @asynccontextmanager
    async def open(cls, *, max_attempts: int = 3, visibility_s: int = 3) -> AsyncIterator[Jobs]:
        """New ones. Every upload is kept as a version of its object, so that a second one shows."""
        async with Aws(path_style=True, poll_s=2, polls=4, calls=16) as aws:
            places = await provision(
                aws, f"t{uuid.uuid4().hex[:12]}", max_attempts=max_attempts, visibility_s=visibility_s
            )
            await audit.keep_versions(aws, places.bucket)
            yield cls(aws, places, Producer(aws, places, send=lambda _: nullcontext({})))
            await remove(aws, places)

    @property
    def environment(self) -> dict[str, str]:
        return variables(self.places)

    def table(self, revision: str = "aaaaaaaaaa", *, lease: float = 2.0, skew: float = 0.2, **more: Any) -> JobTable:
        terms = Terms(lease=lease, skew=skew)
        return JobTable(self.aws, self.places.jobs, owner="test", revision=revision, terms=terms, **more)

    def queue(self, *, wait_s: int = 1, visibility_s: int = 3, renew_after: int = 5) -> JobQueue:
        return JobQueue(
            self.aws, self.places.queue, dead_letters=self.places.dead_letters,
            wait_s=wait_s, visibility_s=visibility_s, renew_after=renew_after,
        )  # fmt: skip

    @property
    def dead(self) -> DeadLetters:
        return DeadLetters(self.aws, self.places.dead_letters)

    async def send(
        self, *names: str, body: Mapping[str, Any] = SMALL, attributes: Mapping[str, str] | None = None
    ) -> None:
        """Straight to the queue, without a note in the table."""
        for name in names:
            await self.queue().send(json.dumps({"job_id": name, **body}), attributes or {})

    async def row(self, name: str) -> Row:
        row = await self.table().get(name)
        assert row is not None, f"there is no row of {name}"
        return row

    async def rows(self) -> dict[str, Row]:
        return await audit.rows(self.aws, self.places.jobs)

    async def until_state(self, state: State, *names: str, seconds: float = 20) -> None:
        async def reached() -> bool:
            rows = await self.rows()
            return all(name in rows and rows[name].state is state for name in names)

        await until(reached, f"{', '.join(names)} {state}", seconds=seconds)

    async def until_empty(self, *, seconds: float = 20) -> None:
        """No message waits, is with somebody, or is delayed."""

        async def empty() -> bool:
            return not any((await self.queue().depth()).values())

        await until(empty, "the queue is empty", seconds=seconds)

    async def waiting(self) -> set[str]:
        """Ids of what is in the queue, which is empty then."""
        found: set[str] = set()
        queue = self.queue(wait_s=1, visibility_s=60)
        while any((await queue.depth()).values()):
            for message in await queue.receive(10):
                found.add(json.loads(message.body)["job_id"])
                await queue.delete(message)
        return found

    async def uploads(self) -> Mapping[str, int]:
        """How often each object was written."""
        return await audit.uploads(self.aws, self.places.bucket)

    async def in_dead_letters(self) -> list[Mapping[str, str]]:
        """Attributes of what lies there; it stays hidden for some seconds."""
        found: list[Mapping[str, str]] = []
        while messages := await self.dead.take(hidden_s=5):
            found += [{"body": message.body, **message.attributes} for message in messages]
        return found


def names(prefix: str, count: int) -> Sequence[str]:
    return [f"{prefix}{place}" for place in range(count)]
