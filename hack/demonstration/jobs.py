"""Jobs of the image worker at a steady rate, and what became of them."""

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress

from hack.node.trouble import TroubleError
from workloads.common import provisioning
from workloads.common.aws import Aws
from workloads.common.job_row import Row, State
from workloads.common.producer import Producer
from workloads.image_worker import audit
from workloads.image_worker.provision import provision

NAME, LEDGER = "image-worker", "pointsman-shares"
_MAX_ATTEMPTS, _VISIBILITY_S = 3, 15
_WORDS_S = 15.0
_IMAGE = {"kind": "render", "width": 96, "height": 96}


class Jobs:
    """Sends them until `stop`. Their ids begin with what no run before had."""

    def __init__(self, aws: Aws, producer: Producer, *, bucket: str, table: str, rate: float) -> None:
        self._aws, self._producer = aws, producer
        self._bucket, self._table, self._rate = bucket, table, rate
        self._run = f"demo-{secrets.token_hex(4)}"
        self._sent: list[str] = []
        self._sending = asyncio.create_task(self._send())

    @classmethod
    @asynccontextmanager
    async def flowing(cls, environment: Mapping[str, str], *, rate: float) -> AsyncIterator["Jobs"]:
        """`rate`: jobs a second. Makes queues, tables and bucket where they are missing."""
        os.environ.update(environment)  # where boto3 looks
        async with Aws(path_style=True, calls=16) as aws:
            places = await provision(aws, NAME, max_attempts=_MAX_ATTEMPTS, visibility_s=_VISIBILITY_S)
            await audit.keep_versions(aws, places.bucket)
            await provisioning.table(aws, LEDGER, "service", "item")
            producer = Producer(aws, places, send=lambda _: nullcontext({}))
            jobs = cls(aws, producer, bucket=places.bucket, table=places.jobs, rate=rate)
            try:
                yield jobs
            finally:
                await jobs.stop()

    async def stop(self) -> None:
        self._sending.cancel()
        with suppress(asyncio.CancelledError):
            await self._sending

    async def rows(self) -> list[Row]:
        """Of all jobs that were sent; one that nobody knows of is missing."""
        found = await audit.rows(self._aws, self._table)
        return [found[name] for name in self._sent if name in found]

    async def ended(self, tell: Callable[[str], None], *, seconds: float) -> list[Row]:
        """`rows`, once each job is done or failed for good, or none has been for so long: a slow machine is behind."""
        most, since, next_words = 0, time.monotonic(), time.monotonic() + _WORDS_S
        while True:
            rows = await self.rows()
            over = sum(row.state in (State.COMPLETED, State.FAILED) for row in rows)
            now = time.monotonic()
            if over > most:
                most, since = over, now
            if over == self.sent or now - since > seconds:
                return rows
            if now > next_words:
                tell(f"{over} of {self.sent} jobs are done")
                next_words = now + _WORDS_S
            await asyncio.sleep(1)

    async def made_twice(self) -> int:
        """Images that were written more than once."""
        return sum(
            count > 1 for key, count in (await audit.uploads(self._aws, self._bucket)).items() if self._run in key
        )

    @property
    def sent(self) -> int:
        return len(self._sent)

    async def _send(self) -> None:
        """What is due is sent, however slowly the queue answers."""
        began = time.monotonic()
        while True:
            due = int((time.monotonic() - began) * self._rate)
            names = [f"{self._run}-{place}" for place in range(self.sent, due)]
            await asyncio.gather(*(self._producer.enqueue({"job_id": name, **_IMAGE}) for name in names))
            self._sent += names
            await asyncio.sleep(0.5 / self._rate)

    def raise_if_stuck(self) -> None:
        """A producer that fails would make every version look well."""
        if self._sending.done() and not self._sending.cancelled() and (problem := self._sending.exception()):
            raise TroubleError(f"jobs cannot be sent: {problem}; see `hack/cluster logs ministack`.")
