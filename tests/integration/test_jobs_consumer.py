"""The consumer loop against real queues and tables; the work is the test's."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.e2e.patience import until
from tests.image_jobs import Jobs, names
from tests.integration.job_worker import PATIENT, RULES, Work, worker
from workloads.common.attempt import RefusedError, UnknownKindError
from workloads.common.aws import Aws, OutageError
from workloads.common.job import Job
from workloads.common.job_events import Ended, Fenced, FirstOutcome, LeaseLost, NeededMore, Unreadable
from workloads.common.job_queue import JobQueue
from workloads.common.job_row import State
from workloads.common.job_table import Claim, JobTable, Terms

pytest_plugins = ["tests.integration.aws_fixture"]

A, B = "aaaaaaaaaa", "bbbbbbbbbb"


async def test_jobs_are_done_their_rows_say_so_and_their_messages_are_deleted(jobs: Jobs) -> None:
    """W1, W4"""
    work = Work(seconds=0.1)
    await jobs.send(*names("j", 8))
    async with worker(jobs, work, slots=3) as it:
        await jobs.until_state(State.COMPLETED, *names("j", 8))
        await jobs.until_empty()
    assert sorted(work.begun) == sorted(names("j", 8))
    assert work.most <= 3, "no more than slots"
    row = await jobs.row("j0")
    assert row.completed_at >= row.started_at >= row.created_at > 0
    assert row.result == {"done_by": "j0"}
    assert it.saw(FirstOutcome(A, failed=False)) == it.saw(Ended(A, completed=True)) == 8


async def test_a_job_sent_several_times_to_several_workers_is_done_once(jobs: Jobs) -> None:
    """W2, W3"""
    work = Work(seconds=0.3)
    for _ in range(3):
        await jobs.send("a", "b", "c")
    async with worker(jobs, work), worker(jobs, work), worker(jobs, work):
        await jobs.until_empty()
    assert sorted(work.begun) == ["a", "b", "c"]


async def test_a_failure_is_tried_again_and_at_the_limit_dead_lettered_with_its_story(jobs: Jobs) -> None:
    """W5, W6"""
    work = Work(fails={"bad": ValueError("no such colour")})
    await jobs.send("bad", attributes={"traceparent": "00-1"})
    await jobs.send("good")
    async with worker(jobs, work) as it:
        await jobs.until_state(State.FAILED, "bad")
        await jobs.until_empty()
    assert work.begun.count("bad") == 3
    [dead] = await jobs.in_dead_letters()
    assert (dead["job_id"], dead["attempts"], dead["version"], dead["traceparent"]) == ("bad", "3", A, "00-1")
    assert dead["last_error"] == "ValueError: no such colour"
    assert it.saw(NeededMore(A)) == it.saw(Ended(A, completed=False)) == it.saw(FirstOutcome(A, failed=True)) == 1


async def test_a_refused_job_is_not_tried_again(jobs: Jobs) -> None:
    """W6"""
    work = Work(fails={"bad": RefusedError("width: 0 is too small")})
    await jobs.send("bad")
    async with worker(jobs, work):
        await jobs.until_state(State.FAILED, "bad")
    assert work.begun == ["bad"]


async def test_a_crash_between_failed_and_the_dead_letter_queue_is_made_up_for(jobs: Jobs) -> None:
    """W6, W7"""
    table = jobs.table()
    claim = await table.claim("j", created_at=0, canary=False)
    assert isinstance(claim, Claim)
    assert await table.fail(claim, "x", final=True)
    await jobs.send("j")
    async with worker(jobs, Work()):
        await jobs.until_empty()
        await jobs.send("j")
        await jobs.until_empty()
    assert [dead["job_id"] for dead in await jobs.in_dead_letters()] == ["j"]


async def test_a_job_that_kills_its_workers_is_dead_lettered(jobs: Jobs) -> None:
    """W6, W7: each died before it could note anything."""
    for place in range(3):
        later = jobs.table(now=lambda place=place: 1000.0 + 10 * place)
        assert isinstance(await later.claim("j", created_at=0, canary=False), Claim)
    await jobs.send("j")
    work = Work()
    async with worker(jobs, work):
        await jobs.until_state(State.FAILED, "j")
        await jobs.until_empty()
    assert work.begun == []
    assert "3 attempts came to no end" in (await jobs.row("j")).last_error


async def test_a_job_longer_than_the_visibility_timeout_is_done_once(jobs: Jobs) -> None:
    """W9"""
    work = Work(seconds=2.5)
    await jobs.send("long")
    rules = replace(RULES, visibility=1)
    tables = [jobs.table(lease=0.9, skew=0.1) for _ in range(2)]
    async with worker(jobs, work, rules=rules, table=tables[0]), worker(jobs, work, rules=rules, table=tables[1]):
        await jobs.until_state(State.COMPLETED, "long")
        await jobs.until_empty()
    assert work.begun == ["long"]
    assert (await jobs.row("long")).fence == 1


async def test_a_lost_lease_cancels_the_work_and_touches_nothing(jobs: Jobs) -> None:
    """W10"""
    work = Work(seconds=30)
    thief = jobs.table(B, now=lambda: 2e9 + 100)
    await jobs.send("j")
    async with worker(jobs, work, rules=replace(RULES, visibility=1.5)) as it:
        await until(lambda: work.now, "it has begun")
        assert isinstance(await thief.claim("j", created_at=0, canary=False), Claim)
        stolen = await jobs.row("j")
        await until(lambda: it.saw(LeaseLost()), "it notices")
        assert work.cancelled == ["j"]
        assert await jobs.row("j") == stolen


async def test_what_ends_after_somebody_else_took_it_is_fenced_and_not_deleted(jobs: Jobs) -> None:
    """W10: between two heartbeats."""
    go = asyncio.Event()
    begun = asyncio.Event()

    async def waits(job: Job, claim: Claim) -> Mapping[str, Any]:
        begun.set()
        await go.wait()
        return {}

    thief = jobs.table(B, now=lambda: 2e9 + 100)
    await jobs.send("j")
    async with worker(jobs, waits, rules=replace(RULES, visibility=6), table=jobs.table(lease=5.4)) as it:
        await begun.wait()
        assert isinstance(await thief.claim("j", created_at=0, canary=False), Claim)
        go.set()
        await until(lambda: it.saw(Fenced()), "it is fenced")
    assert sum((await jobs.queue().depth()).values()) == 1
    assert (await jobs.row("j")).state is State.PROCESSING


async def test_the_local_deadline_stops_the_work_when_no_renewal_gets_through(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W10, W13"""
    work = Work(seconds=30)
    table = jobs.table(lease=1.4)

    async def away(claim: Claim) -> bool:
        raise OutageError("away")

    monkeypatch.setattr(table, "renew", away)
    await jobs.send("j")
    async with worker(jobs, work, rules=replace(RULES, visibility=1.5), table=table, drain=0) as it:
        await until(lambda: it.saw(LeaseLost()), "it gives up")
        assert work.cancelled[0] == "j"


async def test_an_outage_does_not_count_against_the_job(jobs: Jobs) -> None:
    """W13"""
    work = Work(fails={"j": OutageError("S3 is away")})
    await jobs.send("j")
    async with worker(jobs, work, rules=PATIENT, table=jobs.table(lease=25)):
        await until(lambda: len(work.begun) > 4, "it is tried again and again", seconds=60)
        work.fails.clear()
        await jobs.until_state(State.COMPLETED, "j")
    assert (await jobs.row("j")).attempts == 1


async def test_a_message_that_names_no_job_is_left_to_the_redrive_policy_and_the_loop_goes_on(jobs: Jobs) -> None:
    """W11"""
    for body in (
        "not json",
        json.dumps({"kind": "render"}),
        json.dumps(["job_id"]),
        json.dumps({"job_id": "../x"}),
        "[" * 100_000,
    ):
        await jobs.queue().send(body, {})
    await jobs.send("good")
    async with worker(jobs, Work()) as it:
        await jobs.until_state(State.COMPLETED, "good")
        await until(lambda: it.saw(Unreadable()) == 5, "all are seen")
    assert sum((await jobs.queue().depth()).values()) == 5
    assert set(await jobs.rows()) == {"good"}


async def test_a_drain_finishes_what_runs_and_hands_back_what_takes_too_long(jobs: Jobs) -> None:
    """W12"""
    work = Work(seconds=1)
    await jobs.send("short")
    async with worker(jobs, work, drain=5) as it:
        await until(lambda: work.now, "it has begun")
        it.stop.set()
    assert (await jobs.row("short")).state is State.COMPLETED
    work.seconds = 30
    await jobs.send("long")
    async with worker(jobs, work, drain=0.2) as it:
        await until(lambda: work.now, "it has begun")
        it.stop.set()
    assert work.cancelled == ["long"]
    row = await jobs.row("long")
    assert (row.state, row.attempts) == (State.PENDING, 0)
    assert len(await jobs.queue().receive(1)) == 1, "visible at once"


async def test_messages_of_the_poll_that_was_open_at_the_stop_are_handed_back(jobs: Jobs) -> None:
    """W1, W12: the poll is not aborted, and what it brings does not stay invisible."""
    work = Work()
    async with worker(jobs, work, queue=jobs.queue(wait_s=2)) as it:
        await until(lambda: it.consumer.polls_for() > 0, "it polls")
        it.stop.set()
        await jobs.send("late")
    assert work.begun == []
    assert [json.loads(each.body)["job_id"] for each in await jobs.queue().receive(1)] == ["late"]


async def test_a_message_that_was_put_off_often_is_sent_anew(jobs: Jobs) -> None:
    """W9: a busy job's second message must not be taken for one that nobody understands."""
    queue: JobQueue = jobs.queue(renew_after=3)
    await jobs.send("j", attributes={"traceparent": "00-1"})
    seen = []
    for _ in range(5):
        [message] = await queue.receive(1)
        seen.append(message.receives)
        assert message.attributes == {"traceparent": "00-1"}
        await queue.put_off(message, 0)
    assert seen == [1, 2, 3, 1, 2]


@dataclass
class Share:
    """A gate whose answers the test gives."""

    is_canary: bool = True
    is_on_trial: bool = False
    granted: bool = True
    stopped_before: int = 0
    epoch: int = 1
    messages: int = 1
    wait_s: int | None = None
    settled: int = 0

    async def permit(self, wanted: int) -> "Share":
        self.messages = 1
        return self

    async def settle(self, received: int) -> bool:
        self.settled += received
        return self.granted

    def is_stopped(self, epoch: int) -> bool:
        return epoch < self.stopped_before


async def test_a_canary_that_fails_everything_takes_no_job_down(jobs: Jobs) -> None:
    """W14: its failures do not count, and what it failed goes to others."""
    bad = Work(fails={name: ValueError("new version") for name in names("j", 6)})
    good = Work()
    await jobs.send(*names("j", 6))
    one = replace(RULES, max_attempts=1)
    async with worker(jobs, bad, revision=B, gate=Share(), rules=one) as canary:
        await until(lambda: len(set(bad.begun)) == 6, "the canary has had them all", seconds=15)
        async with worker(jobs, good, revision=A, rules=one) as stable:
            await jobs.until_state(State.COMPLETED, *names("j", 6))
            await jobs.until_empty()
    assert sorted(bad.begun) == sorted(good.begun) == names("j", 6)
    assert await jobs.in_dead_letters() == []
    assert canary.saw(FirstOutcome(B, failed=True)) == 6
    assert stable.saw(NeededMore(B)) == stable.saw(Ended(B, completed=True)) == 6


async def test_a_version_on_trial_that_fails_everything_takes_no_job_down(jobs: Jobs) -> None:
    """It has all of the work: nobody else could do the jobs that it hands back, so it tries them again itself."""
    bad = Work(fails={name: ValueError("new version") for name in names("j", 4)})
    good = Work()
    await jobs.send(*names("j", 4))
    two = replace(RULES, max_attempts=2)
    async with worker(jobs, bad, revision=B, gate=Share(is_canary=False, is_on_trial=True), rules=two):
        await until(lambda: len(bad.begun) == 8, "it has tried each of them twice", seconds=20)
        await asyncio.sleep(1)  # for a third time, in vain
    async with worker(jobs, good, revision=A, rules=two):  # the trial is over
        await jobs.until_state(State.COMPLETED, *names("j", 4))
        await jobs.until_empty()
    assert sorted(bad.begun) == sorted([*names("j", 4), *names("j", 4)])
    assert sorted(good.begun) == names("j", 4)
    assert await jobs.in_dead_letters() == []


async def test_a_kind_that_a_version_does_not_have_is_left_to_one_that_has_it(jobs: Jobs) -> None:
    """W26: the old version sees a new kind's jobs as long as the canary is small, and they must not end there."""
    old, new = Work(fails={"j": UnknownKindError("kind: 'swatch' is none of render")}), Work()
    await jobs.send("j")
    one = replace(RULES, max_attempts=1)
    async with worker(jobs, old, revision=A, rules=one) as stable:
        await until(lambda: len(old.begun) >= 3, "it came to the old version three times", seconds=20)
    assert stable.saw(FirstOutcome(A, failed=True)) == 1, "as bad as for a canary that lost a kind"
    assert (await jobs.row("j")).last_error == "kind: 'swatch' is none of render"
    async with worker(jobs, new, revision=B, gate=Share(), rules=one):
        await jobs.until_state(State.COMPLETED, "j")
        await jobs.until_empty()
    assert await jobs.in_dead_letters() == []


async def test_a_kind_that_nobody_has_is_dead_lettered_in_the_end(jobs: Jobs) -> None:
    """W26"""
    work = Work(fails={"j": UnknownKindError("kind: 'swatch' is none of render")})
    await jobs.send("j")
    async with worker(jobs, work, rules=replace(RULES, unknown_kind=2)):
        await jobs.until_state(State.FAILED, "j")
        await jobs.until_empty()
    [dead] = await jobs.in_dead_letters()
    assert dead["last_error"] == "kind: 'swatch' is none of render"
    assert len(work.begun) >= 2


async def test_a_job_that_fails_by_itself_is_dead_lettered_after_the_trial_within_its_tries(jobs: Jobs) -> None:
    bad, gate = Work(fails={"j": ValueError("no picture")}), Share(is_canary=False, is_on_trial=True)
    await jobs.send("j")
    two = replace(RULES, max_attempts=2)
    async with worker(jobs, bad, revision=B, gate=gate, rules=two):
        await until(lambda: len(bad.begun) == 2, "it may try no more", seconds=20)
        gate.is_on_trial = False
        await jobs.until_state(State.FAILED, "j")
        await jobs.until_empty()
    row = await jobs.row("j")
    assert (len(bad.begun), row.attempts, row.counted) == (4, 4, 2)
    assert len(await jobs.in_dead_letters()) == 1


async def test_what_comes_after_the_share_was_taken_away_is_handed_back(jobs: Jobs) -> None:
    """W14"""
    work, gate = Work(), Share(granted=False)
    await jobs.send("j")
    async with worker(jobs, work, gate=gate):
        await until(lambda: gate.settled, "it came")
    assert work.begun == []
    assert len(await jobs.queue().receive(1)) == 1


async def test_a_hard_stop_ends_the_job_at_its_next_heartbeat_and_hands_it_back(jobs: Jobs) -> None:
    """W14"""
    work, gate = Work(seconds=30), Share()
    await jobs.send("j")
    async with worker(jobs, work, gate=gate, rules=replace(RULES, visibility=1.5)):
        await until(lambda: work.now, "it has begun")
        gate.granted, gate.stopped_before = False, 2
        await until(lambda: work.cancelled, "it is stopped")
    assert (await jobs.row("j")).state is State.PENDING


async def test_a_worker_whose_clock_is_wrong_takes_no_job_until_it_is_right(
    jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    """W2: two clocks more than the skew apart let two workers hold one job, and nobody noticed."""
    off = 5.0
    work = Work()

    def now() -> float:
        return time.time() + off

    async with Aws(path_style=True, poll_s=2, now=now) as aws:
        queue = JobQueue(
            aws, jobs.places.queue, dead_letters=jobs.places.dead_letters, wait_s=1, visibility_s=3, renew_after=5
        )
        table = JobTable(aws, jobs.places.jobs, owner="o", revision=A, terms=Terms(lease=2.0, skew=2.0), now=now)
        await jobs.send("j")
        async with worker(jobs, work, table=table, queue=queue) as it:
            await until(lambda: it.consumer.clock_is_wrong, "it notices")
            assert work.begun == []
            off = 0.0
            await jobs.until_state(State.COMPLETED, "j")
            assert not it.consumer.clock_is_wrong
    assert "no job is taken: set the clock" in caplog.text
