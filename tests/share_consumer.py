"""A consumer of a shared queue, as small as it can be: polls through the gate, takes its time, deletes.

    python -m tests.share_consumer QUEUE_URL JOB_S SLOTS FAILS OUT

It keeps what the claim protocol keeps as far as the share needs it: `failed_by` of each job, in OUT's directory. On
SIGTERM it ends its open polls and writes one JSON object to OUT: when it claimed
each job, and how many of them it handed back, ended and buried.
"""

import asyncio
import json
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
from botocore.config import Config

from workloads.common.share_settings import gate

RETRY_LIMIT = 3
_WAIT_S = 5
_AT_ONCE = 5
_LONGEST_BACK_OFF_S = 20


class Jobs:
    """The rows: an empty file for each failed attempt, so that several processes can count them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def fail(self, job: str, revision: str, *, counts: bool) -> bool:
        """Whether that was the last attempt it had."""
        kind = "counts" if counts else "spared"
        (self._directory / f"{job}.{revision}.{time.monotonic_ns()}.{kind}").touch()
        return counts and len(list(self._directory.glob(f"{job}.*.counts"))) >= RETRY_LIMIT

    def failed_by(self, job: str, revision: str) -> int:
        return len(list(self._directory.glob(f"{job}.{revision}.*")))


class Consumer:
    def __init__(self, gate, queue: str, out: Path, *, job_s: float, fails: bool) -> None:
        self.gate, self.queue, self.out, self.job_s, self.fails = gate, queue, out, job_s, fails
        self.jobs = Jobs(out.parent / "rows")
        self.sqs = boto3.client("sqs", config=Config(read_timeout=_WAIT_S + 10, max_pool_connections=50))
        self.revision = os.environ["REVISION"]
        self.stopping = asyncio.Event()
        self.handed_back = self.done = self.dead = 0
        self.claimed_at: list[float] = []

    async def slot(self) -> None:
        while not self.stopping.is_set():
            permit = await self.gate.permit(_AT_ONCE)
            messages = []
            try:
                answer = await asyncio.to_thread(
                    self.sqs.receive_message,
                    QueueUrl=self.queue,
                    MaxNumberOfMessages=permit.messages,
                    WaitTimeSeconds=_WAIT_S if permit.wait_s is None else min(_WAIT_S, permit.wait_s),
                    MessageSystemAttributeNames=["ApproximateReceiveCount"],
                )
                messages = answer.get("Messages", [])
            finally:
                kept = await permit.settle(len(messages))
            if not kept:
                for message in messages:
                    await self.hand_back(message, after_s=0)
            elif messages:
                self.claimed_at += [time.time()] * len(messages)
                self.out.with_suffix(".claims").write_text(str(len(self.claimed_at)))
                await self.work(messages)

    async def work(self, messages) -> None:
        # a canary leaves a job that it has failed before to another version; on trial nobody else takes it for now
        on_trial = self.gate.is_on_trial
        trusted, tries = not (self.gate.is_canary or on_trial), RETRY_LIMIT if on_trial else 1
        known = [one for one in messages if not trusted and self.jobs.failed_by(one["Body"], self.revision) >= tries]
        new = [one for one in messages if one not in known]
        await asyncio.sleep(self.job_s if new else 0)
        failed = []
        if self.fails:
            failed = [one for one in new if not self.jobs.fail(one["Body"], self.revision, counts=trusted)]
            self.dead += len(new) - len(failed)
        else:
            self.done += len(new)
        for message in [*known, *failed]:
            # not at once: where stable yields to this canary, it would be handed the same job over and over
            receives = int(message["Attributes"]["ApproximateReceiveCount"])
            await self.hand_back(message, after_s=min(_LONGEST_BACK_OFF_S, 2 ** max(0, receives - tries + 1)))
        ended = [
            {"Id": str(number), "ReceiptHandle": one["ReceiptHandle"]}
            for number, one in enumerate(new)
            if one not in failed
        ]
        if ended:
            await asyncio.to_thread(self.sqs.delete_message_batch, QueueUrl=self.queue, Entries=ended)

    async def hand_back(self, message, *, after_s: int) -> None:
        self.handed_back += 1
        await asyncio.to_thread(
            self.sqs.change_message_visibility,
            QueueUrl=self.queue,
            ReceiptHandle=message["ReceiptHandle"],
            VisibilityTimeout=after_s,
        )


async def main(queue: str, job_s: str, slots: str, fails: str, out: str) -> None:
    async with gate(os.environ) as door:
        consumer = Consumer(door, queue, Path(out), job_s=float(job_s), fails=fails == "yes")
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(2 * int(slots)))  # each open poll holds one
        running = [asyncio.create_task(consumer.slot()) for _ in range(int(slots))]
        loop.add_signal_handler(signal.SIGTERM, consumer.stopping.set)
        told = asyncio.create_task(consumer.stopping.wait())
        await asyncio.wait([told, *running], return_when=asyncio.FIRST_COMPLETED)
        consumer.stopping.set()
        await told
        await asyncio.wait(running, timeout=_WAIT_S + 2)
        for task in running:  # those that wait for a credit
            task.cancel()
        found = await asyncio.gather(*running, return_exceptions=True)
        troubles = [one for one in found if isinstance(one, Exception)]
        report = {
            "revision": consumer.revision,
            "claimed_at": consumer.claimed_at,
            "handed_back": consumer.handed_back,
            "done": consumer.done,
            "dead": consumer.dead,
            "troubles": [f"{type(one).__name__}: {one}" for one in troubles],
        }
    await asyncio.to_thread(Path(out).write_text, json.dumps(report))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
