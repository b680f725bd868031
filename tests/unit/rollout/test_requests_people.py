"""Skip, promote, pause, resume, retry: what each of them does."""

import pytest

from tests.unit.rollout.cluster import START_S
from tests.unit.rollout.language import BY_PODS, BY_WEIGHT, analyze, approve, release, weight
from tests.unit.rollout.world import World

STEPS = [weight(5, analyze("5s", "1m")), approve(), weight(50, analyze("5s", "1m"))]
BOTH = pytest.mark.parametrize("by", [BY_WEIGHT, BY_PODS])


# -- skip ----------------------------------------------------------------------------------------------------------


def test_skip_passes_one_step_and_says_what_stays_unproven(world):
    world.given(release(STEPS).on("v2"))
    world.advance(seconds=10)
    name = world.ask("skip", reason="in a hurry")
    assert world.release.step == 1
    assert world.answer(name).startswith("step 1/3 skipped, unproven: errors ")
    (left,) = world.release.unproven
    assert left.step == 0
    assert left.message.startswith("skipped by ana: in a hurry; unproven: errors ")
    world.ask("skip")
    assert world.release.step == 2
    world.until(lambda: world.traffic.canary == 50)


def test_skipping_the_last_step_promotes_with_capacity_first(world):
    world.given(release([weight(5, analyze("5s", "10m"))]).on("v2"))
    world.log.clear()
    world.ask("skip")
    world.advance(seconds=START_S)
    assert world.log.index("scale v2 4") < world.log.index("weights v2:100")
    assert world.release.stable == "v2"


# -- promote -------------------------------------------------------------------------------------------------------


@BOTH
def test_promote_ends_the_judging_and_gives_everything_to_the_new_version(world, by):
    world.given(release(STEPS, by=by).on("v2"))
    world.advance(seconds=10)
    world.regress("v2")
    name = world.ask("promote", reason="fixes the outage")
    assert world.answer(name).startswith("analysis ends; everything goes to v2; unproven: errors ")
    world.metrics.go_dark()
    world.advance(minutes=2)
    assert (world.release.phase, world.release.reason) == ("Healthy", "PromotedByPerson")
    assert (world.release.stable, world.traffic.stable) == ("v2", 100)
    assert "fixes the outage" in world.release.unproven[0].message
    assert world.release.full_by == ""


def test_promote_gives_nothing_before_the_pods_are_there(world):
    world.given(release(STEPS).on("v2"))
    world.ask("promote", reason="fixes the outage")
    assert (world.release.phase, world.traffic.canary) == ("Promoting", 5)
    world.advance(seconds=START_S)
    assert world.traffic.of("v2") == 100


def test_a_version_that_crashes_is_taken_back_also_when_it_is_promoted(world):
    world.given(release(STEPS).on("v2"))
    world.ask("promote", reason="fixes the outage")
    world.crash_loop("v2")
    assert world.release.is_rejected("v2")
    assert world.traffic.of("v1") == 100


def test_steps_that_are_added_after_a_promotion_was_asked_for_do_not_hold_it(world):
    world.given(release(STEPS).on("v2"))
    world.ask("promote", reason="fixes the outage")
    world.edit(steps=(*world.spec.steps, approve(), approve()))
    world.advance(minutes=1)
    assert world.release.stable == "v2"


# -- pause and resume ----------------------------------------------------------------------------------------------


@BOTH
def test_a_pause_stops_steps_and_the_clock_goes_on_where_it_stood(world, by):
    world.given(release([weight(25, analyze("5s", "1m")), weight(50, analyze("5s", "1m"))], by=by).on("v2"))
    world.advance(seconds=20)
    share = world.traffic.canary
    world.ask("pause", reason="campaign")
    world.advance(minutes=30)
    assert (world.release.phase, world.release.reason) == ("Paused", "PausedByPerson")
    assert world.release.message == "step 1/2: paused by ana: campaign; analysis and rollbacks go on"
    assert world.traffic.canary == share
    world.ask("resume")
    assert world.release.reason == "Analyzing"
    world.advance(seconds=30)
    assert world.release.step == 0
    world.advance(seconds=15)
    assert world.release.step == 1


def test_looks_and_rollbacks_go_on_in_a_pause(world):
    world.given(release(STEPS).on("v2"))
    world.ask("pause")
    world.regress("v2")
    world.advance(minutes=1)
    assert world.release.reason == "Regressed"
    assert world.traffic.of("v2") == 0
    assert world.release.paused_by == ""


def test_a_pause_is_about_one_version_and_goes_with_it(world):
    world.given(release(STEPS).on("v2"))
    world.ask("pause")
    world.commit("v3")
    world.advance(seconds=START_S)
    assert world.release.paused_by == ""
    assert world.traffic.of("v3") == 5


def test_nobodys_haste_undoes_anothers_stop(world):
    world.given(release(STEPS).on("v2"))
    world.until(lambda: world.release.reason == "AwaitingApproval")
    world.ask("pause", by="ben")
    for action in ("approve", "skip", "promote"):
        assert world.answer(world.ask(action)) == "refused: it is paused by ben; resume it first"
    assert world.answer(world.ask("abort")) == "abort taken"


def test_pods_lost_in_a_pause_give_their_work_to_stable_and_get_it_back_after_it(world):
    world.given(release(STEPS).on("v2"))
    world.ask("pause")
    world.unready("v2")
    assert (world.release.reason, world.traffic.canary) == ("CanaryUnready", 0)
    world.recover("v2")
    assert (world.release.reason, world.traffic.canary) == ("PausedByPerson", 0)
    world.ask("resume")
    assert world.traffic.canary == 5


def test_an_outage_in_a_pause_is_said_and_its_time_counts_once(world):
    world.given(release([weight(5, analyze("5s", "1m")), weight(50)]).on("v2"))
    world.advance(seconds=20)
    world.ask("pause")
    world.metrics.go_dark()
    world.advance(minutes=2)
    assert (world.release.phase, world.release.reason) == ("Waiting", "SourceOutage")
    world.metrics.come_back()
    world.advance(minutes=2)
    assert world.release.reason == "PausedByPerson"
    world.ask("resume")
    world.advance(seconds=30)
    assert world.release.step == 0
    world.advance(seconds=15)
    assert world.release.step == 1


# -- retry ---------------------------------------------------------------------------------------------------------


def rolled_back(world: World) -> World:
    world.given(release(STEPS).on("v2"))
    world.regress("v2")
    world.advance(minutes=2)
    assert world.release.phase == "RolledBack"
    return world


def test_retry_begins_a_new_attempt_judged_from_nothing(world):
    rolled_back(world)
    run, attempt = set(world.attempts), world.release.attempts
    world.regress("v2", 0.001)
    name = world.ask("retry", "v2", reason="the database was down")
    assert world.answer(name) == "v2 is no longer rejected; it starts again at step one with no evidence"
    assert world.release.attempts == attempt + 1
    world.until(lambda: world.release.reason == "AwaitingApproval")
    assert len(set(world.attempts) - run) == 1
    assert world.release.last_rollback.revision == "v2"


def test_a_retry_of_what_is_not_asked_for_waits_for_the_spec(world):
    rolled_back(world)
    world.commit("v1")
    assert world.answer(world.ask("retry", "v2")) == "v2 is no longer rejected; it is rolled out when the spec has it"
    assert world.release.phase == "Healthy"
    world.commit("v2")
    assert world.release.canary == "v2"


def test_the_annotation_retries_once_for_a_rejection(world):
    rolled_back(world)
    attempt = world.release.attempts
    world.annotate("v2")
    assert world.release.attempts == attempt + 1
    world.advance(minutes=3)
    assert world.release.phase == "RolledBack", "it is as bad as before, and the annotation is an old one"
    world.annotate("")
    world.annotate("v2")
    assert world.release.attempts == attempt + 2


def test_an_annotation_that_was_there_before_the_rejection_is_no_answer_to_it(world):
    world.given(release(STEPS))
    world.annotate("v2")
    world.commit("v2")
    world.regress("v2")
    world.advance(minutes=2)
    assert world.release.phase == "RolledBack"
