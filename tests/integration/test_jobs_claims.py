"""Who may work on a job, and what late writes do: against a real DynamoDB API."""

import asyncio
import time
from typing import Any

import pytest

from tests.image_jobs import Jobs
from workloads.common.job_result import stored_form
from workloads.common.job_row import State
from workloads.common.job_table import Barred, Busy, Claim, Completed, Failed, JobTable

pytest_plugins = ["tests.integration.aws_fixture"]

A, B = "aaaaaaaaaa", "bbbbbbbbbb"


async def claimed(table: JobTable, job: str = "j", *, canary: bool = False, tries: int = 1) -> Claim:
    found = await table.claim(job, created_at=1.5, canary=canary, tries=tries)
    assert isinstance(found, Claim), found
    return found


async def test_of_many_who_claim_at_once_one_gets_the_job(jobs: Jobs) -> None:
    """W2"""
    tables = [jobs.table() for _ in range(16)]
    found = await asyncio.gather(*(table.claim("j", created_at=1.5, canary=False) for table in tables))
    assert sum(isinstance(each, Claim) for each in found) == 1
    assert all(0 < each.rest <= 2.3 for each in found if isinstance(each, Busy))
    row = await jobs.row("j")
    assert (row.state, row.fence, row.attempts, row.created_at, row.first_version) == (State.PROCESSING, 1, 1, 1500, A)


async def test_an_ended_lease_is_anybodys_and_the_late_one_changes_nothing(jobs: Jobs) -> None:
    """W7, W10"""
    late, table = jobs.table(), jobs.table(B, now=lambda: time.time() + 3)
    old = await claimed(late)
    new = await claimed(table)
    assert (new.row.fence, new.row.attempts, new.first_died) == (2, 2, True)
    assert new.row.first_version == A
    before = await jobs.row("j")
    assert not await late.renew(old)
    assert not await late.finish(old, {"s3_key": "x"})
    assert not await late.fail(old, "late", final=True)
    assert not await late.hand_back(old)
    assert await jobs.row("j") == before
    assert await table.finish(new, {"s3_key": "y"})
    assert (await jobs.row("j")).result == {"s3_key": "y"}


@pytest.mark.parametrize("off", [-2, 2])
async def test_clocks_that_differ_by_the_skew_take_no_living_lease(jobs: Jobs, off: int) -> None:
    """W2"""
    holder = jobs.table(lease=3, skew=2)
    other = jobs.table(lease=3, skew=2, now=lambda: time.time() + off)
    claim = await claimed(holder)
    assert isinstance(await other.claim("j", created_at=0, canary=False), Busy)
    assert await holder.renew(claim)


async def test_a_call_whose_answer_was_lost_finds_its_own_work(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """W2, W13: boto3 sends it again; the second is refused by the first."""
    table = jobs.table()
    update = jobs.aws.dynamodb.update_item

    def twice(**arguments: Any) -> Any:
        update(**arguments)
        return update(**arguments)

    monkeypatch.setattr(jobs.aws.dynamodb, "update_item", twice)
    claim = await claimed(table)
    assert claim.row.attempts == 1
    assert await table.fail(claim, "no", final=False)
    claim = await claimed(table)
    assert await table.finish(claim, {})
    assert isinstance(await table.claim("j", created_at=0, canary=False), Completed)
    assert (await jobs.row("j")).attempts == 2


async def test_a_canary_does_not_get_what_its_version_failed_or_died_on(jobs: Jobs) -> None:
    """W14"""
    canary, stable = jobs.table(B), jobs.table(A)
    claim = await claimed(canary, canary=True)
    assert claim.row.counted == 0
    assert await canary.fail(claim, "canary", final=False)
    assert isinstance(await canary.claim("j", created_at=0, canary=True), Barred)
    assert (await jobs.row("j")).failed_by == {B: 1}
    assert (await claimed(stable)).row.counted == 1
    await claimed(canary, "dies", canary=True)
    later = jobs.table(B, now=lambda: time.time() + 3)
    assert isinstance(await later.claim("dies", created_at=0, canary=True), Barred)
    assert (await claimed(later, "dies")).row.counted == 1, "promoted, it is as good as any"


async def test_a_version_on_trial_is_barred_after_its_tries_or_as_many_deaths(jobs: Jobs) -> None:
    trial = jobs.table(B)
    for _ in range(2):
        claim = await claimed(trial, canary=True, tries=2)
        assert claim.row.counted == 0
        assert await trial.fail(claim, "on trial", final=False)
    assert isinstance(await trial.claim("j", created_at=0, canary=True, tries=2), Barred)
    assert (await claimed(trial)).row.counted == 1, "trusted, it begins anew"
    for later in (0, 10):
        await claimed(jobs.table(B, now=lambda later=later: time.time() + later), "dies", canary=True, tries=2)
    latest = jobs.table(B, now=lambda: time.time() + 20)
    assert isinstance(await latest.claim("dies", created_at=0, canary=True, tries=2), Barred)


async def test_what_is_handed_back_is_as_if_it_had_not_been(jobs: Jobs) -> None:
    """W12: a first attempt that was cut off is nobody's first attempt; a later one does not count."""
    table = jobs.table(A)
    assert await table.hand_back(await claimed(table))
    row = await jobs.row("j")
    assert (row.state, row.attempts, row.first_version) == (State.PENDING, 0, "")
    other = jobs.table(B)
    assert await other.fail(await claimed(other), "x", final=False)
    assert await table.hand_back(await claimed(table))
    row = await jobs.row("j")
    assert (row.state, row.attempts, row.counted, row.first_version) == (State.RETRY, 2, 1, B)


async def test_a_failed_job_begins_anew_when_it_is_reset_and_no_other_does(jobs: Jobs) -> None:
    """W6"""
    table = jobs.table()
    assert await table.fail(await claimed(table), "bad", final=True)
    failed = await table.claim("j", created_at=0, canary=False)
    assert isinstance(failed, Failed)
    assert failed.row.purge_at > time.time() + 29 * 86400
    row = await table.reset("j", digest="")
    assert row is not None
    assert (row.state, row.attempts, row.redriven, row.purge_at) == (State.PENDING, 0, 1, 0)
    claim = await claimed(table)
    await table.reset("j", digest="")
    assert await table.renew(claim), "a running job is left alone"


async def test_a_result_whose_keys_are_the_rows_own_leaves_the_row_whole(jobs: Jobs) -> None:
    """W4: `state` or `version` as a key of the result once replaced the row's own attribute."""
    table = jobs.table()
    result = stored_form({"state": "nice", "version": 7, "fence": "x", "job_id": "other", "score": 0.5})
    assert await table.finish(await claimed(table), result)
    row = await jobs.row("j")
    assert (row.state, row.version, row.fence, row.job_id) == (State.COMPLETED, A, 1, "j")
    assert row.result == {"state": "nice", "version": 7, "fence": "x", "job_id": "other", "score": 0.5}
    assert isinstance(await table.claim("j", created_at=0, canary=False), Completed)
