"""A shared queue in a local AWS: consumers as processes, the operator's allocator, and messages that keep coming."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import boto3

from controller.api.strategy import Scale
from controller.queue_share.stores.dynamodb import DynamoLedgers
from controller.rollout.sizing import Sizing, sizes
from tests.bench.tasks import meanwhile
from tests.share_consumer import RETRY_LIMIT
from tests.share_operator import CANARY, STABLE, ShareOperator
from workloads.common import provisioning
from workloads.common.aws import Aws

RECEIVES = RETRY_LIMIT + 20
"""Before the queue itself buries a job: a canary that leaves what it has failed may be handed it again, at 50 % each
second time, and at MAX_ATTEMPTS + 5 one job in a hundred was buried."""
_BATCH = 10
_BEGINS_S = 60
_ENDS_S = 20


@dataclass(frozen=True)
class Case:
    """Seconds and messages a second. `rate` of 0: a backlog that does not end."""

    share: float = 0.05
    rate: float = 0.0
    job_s: float = 0.55
    canary_fails: bool = False
    claims: int = 5000
    backlog: int = 6000
    stable: int = 3
    slots: int = 4
    ledger: bool = True

    @property
    def canary(self) -> int:
        """As many pods as the operator gives it."""
        return sizes(Sizing.BY_CLAIMS, Scale(), self.stable, 100 * self.share).canary


@dataclass
class Found:
    case: Case
    by_revision: dict[str, int] = field(default_factory=dict)
    """Claims until the rollback."""
    most_ahead: float = 0.0
    """Over all those moments, how many claims the canary had beyond its share, at most."""
    writes_per_s: float = 0.0
    """Of the pod that wrote most."""
    after_rollback_s: float = 0.0
    unused_credits_s: float = 0.0
    """For how long the operator took the canary for too slow, at most."""
    dead: int = 0
    seconds: float = 0.0
    missing: tuple[float, float] = (0.0, 0.0)
    """Claims that the canary was short of its share, on average over the second third of the claims, and the last."""

    @property
    def claims(self) -> int:
        return sum(self.by_revision.values())

    @property
    def percent(self) -> float:
        return 100 * self.by_revision[CANARY] / self.claims

    @property
    def deviation(self) -> float:
        return self.by_revision[CANARY] - self.case.share * self.claims

    @property
    def missing_s(self) -> float:
        """The same in seconds of the canary's share of the claims."""
        return sum(self.missing) / 2 / (self.case.share * self.claims / self.seconds)


@dataclass(frozen=True)
class Switched:
    """Jobs. `failed`: attempts of the new version."""

    sent: int
    done: int
    dead: int
    failed: int


async def switched(directory: Path, *, marked: bool = True, jobs: int = 60) -> Switched:
    """All of the jobs go to a version that fails each of them, and after some seconds back to the one before, which
    does them. Needs the local AWS in os.environ.
    """
    name = f"switch-{uuid.uuid4().hex[:8]}"
    directory = directory / name
    (directory / "rows").mkdir(parents=True)
    queue, buried = await asyncio.to_thread(_queues, name)
    async with Aws() as aws:
        await provisioning.table(aws, name, "service", "item")
    case = Case(share=0.5, job_s=0.05, canary_fails=True, stable=1)
    async with contextlib.AsyncExitStack() as stack:
        operator = ShareOperator(DynamoLedgers(name), f"shop/{name}")
        await stack.enter_async_context(operator.running())
        await operator.weights(canary=0)
        await operator.switch(marked=marked)  # before there are consumers: the old version does no job meanwhile
        crowd = await stack.enter_async_context(_consumers(case, name, queue, directory))
        await _all_report(operator, len(crowd))
        await asyncio.to_thread(_send, queue, jobs)
        await _until(lambda: _failures(directory) >= RETRY_LIMIT * jobs, "each job has failed as often as it may")
        await operator.weights(canary=0)
        await _until(lambda: _count(queue, "", "NotVisible") == 0, "all jobs have ended")
        await _end(crowd)
    reports = [json.loads(file.read_text()) for file in sorted(directory.glob("*.json"))]
    assert len(reports) == len(crowd), f"a consumer ended without a report; see {directory}"
    dead = sum(report["dead"] for report in reports) + await asyncio.to_thread(_count, buried)
    return Switched(jobs, sum(report["done"] for report in reports), dead, _failures(directory))


def _failures(directory: Path) -> int:
    return len(list((directory / "rows").iterdir()))


async def _until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _BEGINS_S
    while not await asyncio.to_thread(holds):
        assert time.monotonic() < deadline, f"not within {_BEGINS_S} s: {what}"
        await asyncio.sleep(0.2)


async def played(case: Case, directory: Path) -> Found:
    """Until it has had its claims; then the canary is rolled back, and all end. Needs the local AWS in os.environ."""
    name = f"share-{uuid.uuid4().hex[:8]}"
    directory = directory / name
    (directory / "rows").mkdir(parents=True)
    queue, buried = await asyncio.to_thread(_queues, name)
    async with Aws() as aws:
        await provisioning.table(aws, name, "service", "item")
    found = Found(case)
    async with contextlib.AsyncExitStack() as stack:
        operator = ShareOperator(DynamoLedgers(name), f"shop/{name}")
        await stack.enter_async_context(operator.running())
        await operator.weights(canary=0)
        crowd = await stack.enter_async_context(_consumers(case, name, queue, directory))
        if case.ledger:
            await _all_report(operator, len(crowd))
        await operator.weights(canary=100 * case.share)
        started = time.monotonic()
        earlier = {report.consumer: report.seq for report in await operator.reports()}
        if case.rate:
            await stack.enter_async_context(meanwhile(_feed(queue, case.rate)))
        else:
            await asyncio.to_thread(_send, queue, case.backlog)
        while (claimed := await _claimed(case, operator, directory)) < case.claims:
            if time.monotonic() - started > 300:
                raise AssertionError(f"{claimed} claims in five minutes; {case.claims} were wanted")
            found.unused_credits_s = max(found.unused_credits_s, operator.unused_credits_s)
            await asyncio.sleep(0.25)
        found.seconds = time.monotonic() - started
        writes = (report.seq - earlier.get(report.consumer, 0) for report in await operator.reports())
        found.writes_per_s = max(writes, default=0) / found.seconds
        await operator.weights(canary=0)
        written = time.time()
        await asyncio.sleep(2)
        await _end(crowd)
    reports = [json.loads(file.read_text()) for file in sorted(directory.glob("*.json"))]
    assert len(reports) == case.stable + case.canary, f"a consumer ended without a report; see {directory}"
    troubles = [trouble for report in reports for trouble in report["troubles"]]
    assert not troubles, troubles
    _count_claims(found, reports, written)
    found.dead = sum(report["dead"] for report in reports)
    found.dead += await asyncio.to_thread(_count, buried)
    return found


def _count_claims(found: Found, reports: list, written: float) -> None:
    """`written`: when the rollback was, in epoch seconds."""
    claims = sorted((at, report["revision"]) for report in reports for at in report["claimed_at"])
    late = [at - written for at, revision in claims if revision == CANARY and at > written]
    found.after_rollback_s = max(late, default=0.0)
    found.by_revision = {STABLE: 0, CANARY: 0}
    short: list[float] = []
    for at, revision in claims:
        if at <= written:
            found.by_revision[revision] += 1
            found.most_ahead = max(found.most_ahead, found.deviation)
            short.append(-found.deviation)
    third = len(short) // 3
    found.missing = fmean(short[third : 2 * third]), fmean(short[2 * third :])


async def _all_report(operator: ShareOperator, consumers: int) -> None:
    """A share is set once the canary's pods are there."""
    async with asyncio.timeout(_BEGINS_S):
        while len(await operator.reports()) < consumers:  # noqa: ASYNC110 - a table that tells nobody
            await asyncio.sleep(0.1)


async def _claimed(case: Case, operator: ShareOperator, directory: Path) -> int:
    if case.ledger:
        return sum(report.claims for report in await operator.reports())
    return await asyncio.to_thread(_written, directory)


def _written(directory: Path) -> int:
    return sum(int(file.read_text() or 0) for file in directory.glob("*.claims"))


def _queues(name: str) -> tuple[str, str]:
    sqs = boto3.client("sqs")
    buried = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=buried, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": RECEIVES})
    queue = sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": policy, "VisibilityTimeout": "60"})
    return queue["QueueUrl"], buried


def _count(queue: str, *kinds: str) -> int:
    """Messages that wait; `kinds`: what comes after the attribute's name, such as NotVisible."""
    names = [f"ApproximateNumberOfMessages{kind}" for kind in kinds or ("",)]
    attributes = boto3.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=names)
    return sum(int(attributes["Attributes"][name]) for name in names)


def _send(queue: str, messages: int, sqs=None) -> None:
    sqs = sqs or boto3.client("sqs")
    for begin in range(0, messages, _BATCH):
        entries = [
            {"Id": str(number), "MessageBody": uuid.uuid4().hex} for number in range(min(_BATCH, messages - begin))
        ]
        answer = sqs.send_message_batch(QueueUrl=queue, Entries=entries)
        assert not answer.get("Failed")


async def _feed(queue: str, rate: float) -> None:
    sqs = boto3.client("sqs")
    began, sent = time.monotonic(), 0
    while True:
        due = int((time.monotonic() - began) * rate) - sent
        if due:
            await asyncio.to_thread(_send, queue, due, sqs)
            sent += due
        await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def _consumers(case: Case, name: str, queue: str, directory: Path) -> AsyncIterator[list]:
    crowd: list[asyncio.subprocess.Process] = []
    try:
        revisions = [STABLE] * case.stable + [CANARY] * case.canary
        for number, revision in enumerate(revisions):
            pod, is_canary = f"{revision}-{number}", revision == CANARY
            environment = {
                **os.environ,
                "SHARE_LEDGER": f"dynamodb://{name}" if case.ledger else "",
                "SERVICE_ID": f"shop/{name}",
                "REVISION": revision,
                "POD": pod,
            }
            fails = is_canary and case.canary_fails
            with (directory / f"{pod}.log").open("wb") as log:
                crowd.append(
                    await asyncio.create_subprocess_exec(
                        *(sys.executable, "-m", "tests.share_consumer", queue),
                        *(str(0.0 if fails else case.job_s), str(case.slots), "yes" if fails else "no"),
                        str(directory / f"{pod}.json"),
                        env=environment,
                        stdout=log,
                        stderr=log,
                    )
                )
        yield crowd
    finally:
        for process in crowd:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def _end(crowd: list) -> None:
    for process in crowd:
        process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(_ENDS_S):
        await asyncio.gather(*(process.wait() for process in crowd))
