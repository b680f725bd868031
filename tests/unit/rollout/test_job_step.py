"""A Job tests the new version; only one that ran and failed rejects it, and none is left behind."""

from dataclasses import replace

import pytest

from controller.api.effect import Effect
from controller.rollout import pod_evidence
from controller.rollout.decide import withdraw
from controller.rollout.effect import Answered, Refused, Retrying
from controller.rollout.steps.job import Job
from tests.unit.rollout.language import approve, blue_green, pause, release, weight

TEMPLATE = {"spec": {"containers": [{"name": "smoke", "image": "smoke:1"}]}}
SMOKE = Job(TEMPLATE)
STEPS = [weight(5), SMOKE, weight(50), pause("1h")]


def owed(world, kind="job"):
    return tuple(item.effect for item in world.release.owed if item.effect.kind == kind)


def hears(world, result):
    """The outbox has learned this of what the step is owed."""
    (job,) = owed(world)
    world.effects = {job.id: result}
    world.settle()


def answer(world, state, message=""):
    hears(world, Answered({"job": "web-job-1", "state": state, "message": message}))


@pytest.fixture
def tested(world):
    """Version 2 has 5 % of the work, and its Job is being made."""
    world.given(release(STEPS).on("v2"))
    world.until(lambda: world.release.step == 1)
    return world


def test_a_job_is_owed_while_its_step_waits(tested):
    assert (tested.release.phase, tested.release.reason) == ("Progressing", "AwaitingJob")
    assert tested.release.message == "step 2/4: the Job is being made"
    (job,) = owed(tested)
    assert job.id == f"job.v2.1.1.{SMOKE.digest}"
    assert job.payload == {
        "stableRevision": "v1", "canaryRevision": "v2", "attempt": 1, "step": 1, "digest": SMOKE.digest,
    }  # fmt: skip


def test_a_template_of_any_size_fits_into_the_status():
    large = Job({"spec": {"containers": [{"name": "smoke", "args": ["x" * 100_000]}]}})
    assert Effect("x", "job", {"digest": large.digest}).fits


@pytest.mark.parametrize("state", ["starting", "running"])
def test_a_job_under_way_is_waited_for(tested, state):
    answer(tested, state)
    tested.advance(minutes=5)
    assert (tested.release.phase, tested.release.step) == ("Progressing", 1)
    assert tested.release.message == f"step 2/4: Job web-job-1 is {state}"


def test_one_that_succeeded_goes_on_and_is_deleted(tested):
    answer(tested, "succeeded")
    assert tested.release.step == 2
    assert owed(tested) == ()
    assert [one.payload for one in owed(tested, "jobDeletion")] == [{"job": f"job.v2.1.1.{SMOKE.digest}"}]
    tested.until(lambda: tested.traffic.canary == 50)


@pytest.mark.parametrize(
    ("state", "reason", "message"),
    [
        ("failed", "JobFailed", "Job web-job-1 failed: exit code 3"),
        ("late", "JobTimeout", "Job web-job-1 was still running after 600 s (the step's atMost); exit code 3"),
    ],
)
def test_one_that_ran_and_did_not_succeed_rolls_back_and_is_deleted(tested, state, reason, message):
    answer(tested, state, "exit code 3")
    assert tested.traffic.canary == 0
    assert tested.release.is_rejected("v2")
    assert (tested.release.reason, tested.release.message) == (reason, message)
    assert owed(tested) == ()
    tested.advance(seconds=5)
    assert len(owed(tested, "jobDeletion")) == 1


def rejected_by_its_job(tested):
    """Returns the evidence that is owed of it."""
    tested.keeps_evidence = False
    answer(tested, "failed", "exit code 3")
    (evidence,) = owed(tested, pod_evidence.KIND)
    return evidence


@pytest.mark.parametrize("held", ["paused", "suspended", "metrics out", "too few pods"])
def test_one_that_failed_rolls_back_also_while_its_step_is_held_up(tested, held):
    """Requests went on to a version that its Job had rejected, for as long as a person paused the rollout."""
    match held:
        case "paused":
            tested.ask("pause")
        case "suspended":
            tested.edit(suspend=True)
        case "metrics out":
            tested.metrics.go_dark()
        case _:
            tested.unready("v2")
    tested.advance(seconds=10)
    (job,) = owed(tested)
    answer(tested, "failed", "exit code 3")
    assert (tested.traffic.canary, tested.release.is_rejected("v2")) == (0, True)
    assert tested.release.last_rollback.message == "Job web-job-1 failed: exit code 3"
    tested.advance(seconds=10)
    assert [one.payload["job"] for one in owed(tested, "jobDeletion")] == [job.id]


def test_one_that_failed_stays_until_what_it_said_is_kept(tested):
    (job,) = owed(tested)
    evidence = rejected_by_its_job(tested)
    assert evidence.payload["job"] == job.id
    tested.advance(minutes=2)
    assert owed(tested, "jobDeletion") == ()
    tested.effects = {evidence.id: Answered({})}
    tested.settle()
    assert [one.payload for one in owed(tested, "jobDeletion")] == [{"job": job.id}]
    assert owed(tested, pod_evidence.KIND) == ()


def test_one_that_failed_goes_also_where_what_it_said_cannot_be_kept(tested):
    evidence = rejected_by_its_job(tested)
    tested.effects = {evidence.id: Retrying("no AnalysisRun can be written", 9, 0.0)}
    tested.cluster.now += 700
    tested.settle()
    assert owed(tested, pod_evidence.KIND) == ()
    assert len(owed(tested, "jobDeletion")) == 1


def test_one_that_did_not_fail_is_no_evidence(tested):
    answer(tested, "running")
    tested.ask("abort")
    (evidence,) = owed(tested, pod_evidence.KIND)
    assert "job" not in evidence.payload


BLOCKED = (
    Answered({"job": "web-job-1", "state": "blocked", "message": "cannot start: no such image"}),
    Refused("the spec has this job no longer"),
)


@pytest.mark.parametrize("result", BLOCKED)
def test_one_that_cannot_start_is_no_verdict_however_long_that_lasts(tested, result):
    hears(tested, result)
    tested.advance(minutes=20)
    assert (tested.release.phase, tested.release.reason, tested.release.step) == ("Waiting", "AwaitingJob", 1)
    assert not tested.release.rejected
    answer(tested, "succeeded")
    assert tested.release.step == 2


@pytest.mark.parametrize("result", BLOCKED)
def test_one_that_cannot_start_for_a_minute_can_be_done_without(tested, result):
    hears(tested, result)
    early = tested.ask("approve")
    assert not tested.cluster.answers[early].accepted
    tested.advance(minutes=2)
    late = tested.ask("approve")
    assert tested.cluster.answers[late].accepted
    assert tested.release.step == 2


def test_what_cannot_be_looked_at_is_tried_again_and_nobody_is_asked(tested):
    hears(tested, Retrying("Job web-job-1: the API server did not answer", 3, 0.0))
    tested.advance(minutes=5)
    assert tested.release.phase == "Waiting"
    assert tested.release.message == "step 2/4: Job web-job-1: the API server did not answer; it is tried again"
    assert not tested.cluster.answers[tested.ask("approve")].accepted


def test_abort_deletes_it_at_once(tested):
    answer(tested, "running")
    tested.ask("abort")
    assert tested.traffic.canary == 0
    assert owed(tested) == ()
    assert len(owed(tested, "jobDeletion")) == 1


def test_a_regression_needs_no_job(world):
    world.given(release([weight(50), SMOKE]).on("v2"))
    world.until(lambda: world.release.step == 1)
    world.crash_loop("v2")
    world.until(lambda: world.release.is_rejected("v2"), minutes=20)
    assert owed(world) == ()


def test_a_new_version_deletes_the_job_of_the_one_before(tested):
    answer(tested, "running")
    tested.commit("v3")
    tested.until(lambda: any(job.payload["canaryRevision"] == "v3" for job in owed(tested)))
    assert not [job for job in owed(tested) if job.payload["canaryRevision"] == "v2"]


def test_its_deletion_is_owed_until_it_is_done(tested):
    answer(tested, "succeeded")
    (deletion,) = owed(tested, "jobDeletion")
    tested.advance(minutes=5)
    assert owed(tested, "jobDeletion") == (deletion,)
    tested.effects = {deletion.id: Answered({})}
    tested.settle()
    assert owed(tested, "jobDeletion") == ()


def test_a_deletion_that_cannot_be_done_is_given_up_and_said(tested):
    answer(tested, "succeeded")
    (deletion,) = owed(tested, "jobDeletion")
    tested.effects = {deletion.id: Retrying("jobs is forbidden", 9, 0.0)}
    tested.advance(seconds=5)
    assert owed(tested, "jobDeletion")
    tested.effects = {deletion.id: Retrying("jobs is forbidden", 9, 0.0)}
    tested.cluster.now += 700
    tested.settle()
    assert owed(tested, "jobDeletion") == ()
    assert tested.cluster.events[-1].reason == "JobNotDeleted"


def test_a_paused_rollout_lets_its_job_run(tested):
    answer(tested, "running")
    before = owed(tested)
    tested.ask("pause")
    assert owed(tested) == before
    assert owed(tested, "jobDeletion") == ()
    tested.ask("resume")
    assert owed(tested) == before


def test_a_canary_that_lost_its_pods_lets_its_job_run(tested):
    answer(tested, "running")
    before = owed(tested)
    tested.unready("v2")
    tested.advance(seconds=30)
    assert owed(tested) == before


def test_a_person_may_skip_it(tested):
    answer(tested, "running")
    tested.ask("skip")
    assert tested.release.step == 2
    assert owed(tested) == ()
    assert len(owed(tested, "jobDeletion")) == 1


def test_another_template_is_another_job_and_the_one_before_goes(tested):
    answer(tested, "running")
    (before,) = owed(tested)
    other = Job({"spec": {"containers": [{"name": "smoke", "image": "smoke:2"}]}})
    tested.edit(steps=(weight(5), other, *STEPS[2:]))
    (job,) = owed(tested)
    assert job.id != before.id
    assert [one.payload["job"] for one in owed(tested, "jobDeletion")] == [before.id]


def test_a_step_of_another_kind_in_its_place_deletes_it(tested):
    """It ran on, and nobody asked for its answer any more."""
    answer(tested, "running")
    (before,) = owed(tested)
    tested.edit(steps=(weight(5), approve(), *STEPS[2:]))
    assert owed(tested) == ()
    assert [one.payload["job"] for one in owed(tested, "jobDeletion")] == [before.id]


def test_a_spec_that_cannot_be_meant_for_a_while_lets_its_job_run(tested):
    answer(tested, "running")
    before = owed(tested)
    readable = replace(tested.observe(), spec=replace(tested.spec, steps=()))
    after = [item.effect for item in withdraw(readable, tested.cluster.now, "cannot be meant").status.owed]
    assert after == list(before)


def test_one_that_is_wanted_again_is_not_deleted(tested):
    answer(tested, "running")
    other = Job({"spec": {"containers": [{"name": "smoke", "image": "smoke:2"}]}})
    tested.edit(steps=(weight(5), other, *STEPS[2:]))
    tested.edit(steps=tuple(STEPS))
    (job,) = owed(tested)
    assert job.id not in [one.payload["job"] for one in owed(tested, "jobDeletion")]


def test_each_attempt_has_its_own(tested):
    answer(tested, "failed", "exit code 3")
    tested.annotate("v2")
    tested.until(lambda: tested.release.step == 1)
    (job,) = owed(tested)
    assert job.payload["attempt"] == 2


def test_a_release_that_is_deleted_owes_no_job(tested):
    answer(tested, "running")
    tested.delete()
    assert owed(tested) == ()


def test_a_preview_is_tested_before_it_gets_any_work(world):
    world.given(blue_green(SMOKE, approve()))
    world.commit("v2")
    world.until(lambda: bool(owed(world)))
    answer(world, "running")
    world.advance(minutes=5)
    assert world.traffic.canary == 0
    answer(world, "failed", "exit code 3")
    assert world.release.is_rejected("v2")
    assert world.traffic.stable == 100
    world.advance(seconds=5)
    assert [item.effect.kind for item in world.release.owed] == ["jobDeletion"]
