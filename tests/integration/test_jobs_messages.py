"""What messages carry, what results rows hold, and what an id with another body is: against real queues and tables."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.image_jobs import Jobs
from tests.integration.job_worker import Work, worker
from workloads.common.attempt import RefusedError
from workloads.common.dead_jobs import Redriven
from workloads.common.job import Job
from workloads.common.job_row import State
from workloads.common.job_table import Claim
from workloads.common.producer import OtherBodyError

pytest_plugins = ["tests.integration.aws_fixture"]

A = "aaaaaaaaaa"


async def test_a_message_with_all_the_attributes_that_sqs_takes_is_dead_lettered_and_comes_back_whole(
    jobs: Jobs,
) -> None:
    """W6: four are added and SQS takes ten, so that from seven on it came back until the redrive policy took it."""
    sent: dict[str, Any] = {f"n{place}": {"DataType": "Number", "StringValue": str(place)} for place in range(8)}
    sent |= {"raw": {"DataType": "Binary.x", "BinaryValue": b"\x00\x01"}, "version": _string("theirs")}
    work = Work(fails={"bad": RefusedError("no")})
    await jobs.aws.call(
        jobs.aws.sqs.send_message, QueueUrl=jobs.places.queue, MessageBody='{"job_id": "bad"}', MessageAttributes=sent
    )
    async with worker(jobs, work):
        await jobs.until_state(State.FAILED, "bad")
        await jobs.until_empty()
    [dead] = await jobs.producer.dead(most=10)
    assert (dead.job_id, dead.attempts, dead.last_error, dead.version) == ("bad", "1", "no", A)
    assert [outcome async for outcome in jobs.producer.redrive(most=1)] == [("bad", Redriven.SENT)]
    [again] = await jobs.queue().receive(1)
    assert {name: _told(value) for name, value in again.raw.items()} == {k: _told(v) for k, v in sent.items()}


def _string(text: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": text}


def _told(value: Mapping[str, Any]) -> tuple[str, object]:
    return value["DataType"], value.get("StringValue") or value.get("BinaryValue")


@pytest.mark.parametrize(
    ("result", "says"),
    [({"it": {1}}, "result.it: set cannot be stored"), ({"it": "x" * 500_000}, "result: 5000")],
    ids=["a set", "too large"],
)
async def test_a_result_that_cannot_be_stored_fails_once_with_the_true_reason(
    jobs: Jobs, result: Mapping[str, Any], says: str
) -> None:
    """W6: the work was done again to the limit, and then it was said that the worker had died."""
    begun = []

    async def brings(job: Job, claim: Claim) -> Mapping[str, Any]:
        begun.append(job.job_id)
        return result

    await jobs.send("j")
    async with worker(jobs, brings):
        await jobs.until_state(State.FAILED, "j")
        await jobs.until_empty()
    assert begun == ["j"]
    assert (await jobs.row("j")).last_error.startswith(says)


async def test_a_result_with_floats_and_times_is_kept(jobs: Jobs) -> None:
    """W4"""

    async def brings(job: Job, claim: Claim) -> Mapping[str, Any]:
        return {"score": 0.5, "at": datetime(2026, 1, 2, tzinfo=UTC), "state": "x"}

    await jobs.send("j")
    async with worker(jobs, brings):
        await jobs.until_state(State.COMPLETED, "j")
    assert (await jobs.row("j")).result == {"score": 0.5, "at": "2026-01-02T00:00:00+00:00", "state": "x"}


async def test_the_id_of_a_job_with_another_body_is_no_repetition_and_does_not_vanish(jobs: Jobs) -> None:
    """W3, W6: it was deleted as if it had been done."""
    work = Work()
    await jobs.producer.enqueue({"job_id": "j", "n": 1})
    with pytest.raises(OtherBodyError, match="job 'j' is PENDING with another body"):
        await jobs.producer.enqueue({"job_id": "j", "n": 2})
    assert await jobs.producer.enqueue({"n": 1, "job_id": "j"}) is not None, "the order of keys makes no other body"
    async with worker(jobs, work):
        await jobs.until_state(State.COMPLETED, "j")
        before = await jobs.row("j")
        await jobs.queue().send('{"job_id": "j", "n": 2}', {})
        await jobs.queue().send('{ "n": 1, "job_id": "j" }', {})
        await jobs.until_empty()
    assert work.begun == ["j"]
    assert await jobs.row("j") == before
    [dead] = await jobs.producer.dead(most=10)
    assert dead.last_error == "job_id: 'j' belongs to a job with another body. Send this one under an id of its own"
    assert [outcome async for outcome in jobs.producer.redrive(most=9)] == [("j", Redriven.TAKEN)]
    assert len(await jobs.producer.dead(most=10)) == 1
    assert await jobs.row("j") == before
