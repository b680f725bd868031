"""A bad version goes: work first, everything else afterwards, and it stays away."""

import pytest

from tests.unit.rollout.cluster import CANNOT_BE_MADE
from tests.unit.rollout.language import BY_PODS, analyze, approve, pause, release, weight
from tests.unit.rollout.test_rollout import told
from tests.unit.rollout.world import World


def at_half(world: World, **given) -> World:
    world.given(release(**given).on("v2", at_step=1))
    world.until(lambda: world.traffic.canary == 50)
    world.log.clear()
    return world


def test_a_regression_moves_traffic_before_anything_else(world):
    at_half(world)
    world.regress("v2")
    world.advance(seconds=5)
    assert told(world) == ["weights v1:100", "close regression", "finalizer off"]
    assert (world.release.phase, world.release.reason) == ("RollingBack", "Regressed")
    world.advance(seconds=5)
    assert told(world)[-1] == "retire v2"
    assert world.release.phase == "RolledBack"


def test_the_verdict_says_metric_counts_chance_and_look(world):
    at_half(world)
    world.regress("v2")
    world.advance(seconds=5)
    found = world.release.last_rollback
    assert found.revision == "v2"
    assert found.message.startswith("errors: 200 of 2400 bad on the canary, 29 of 27600 on stable")
    assert "look 15)" in found.message
    assert found.evidence.startswith("errors 200/2400 vs 29/27600")


def test_by_pods_stable_gets_its_pods_back_right_after_its_work(world):
    at_half(world, by=BY_PODS)
    world.regress("v2")
    world.advance(seconds=5)
    assert told(world) == ["weights v1:100", "close regression", "scale v1 4", "finalizer off"]


def test_a_rejected_version_stays_rejected_whoever_asks(world):
    at_half(world)
    world.regress("v2")
    world.advance(seconds=10)
    world.regress("v2", 0.0)
    world.advance(minutes=60)
    assert world.release.phase == "RolledBack"
    world.commit("v3")
    world.commit("v2")
    world.advance(minutes=10)
    assert world.release.phase == "RolledBack"
    assert world.traffic.of("v2") == 0
    assert "v2" not in world.cluster.deployments
    assert world.condition("Stalled")["reason"] == "RevisionRejected"


def test_good_bad_worse_good(world):
    world.given(release())
    world.regress("v2")
    world.commit("v2")
    world.advance(minutes=3)
    assert world.release.phase == "RolledBack"
    world.regress("v3", 0.9)
    world.commit("v3")
    world.advance(minutes=3)
    assert world.release.phase == "RolledBack"
    world.commit("v4")
    world.advance(minutes=6)
    assert (world.release.phase, world.release.stable) == ("Healthy", "v4")
    assert [one.revision for one in world.release.rejected] == ["v2", "v3"]
    assert world.release.last_rollback.revision == "v3"


def test_the_stable_template_again_ends_the_release_at_once(world):
    at_half(world)
    world.commit("v1")
    assert told(world) == ["weights v1:100", "close superseded", "finalizer off"]
    assert world.release.rejected == ()
    world.advance(seconds=5)
    assert world.release.phase == "Healthy"
    assert "v2" not in world.cluster.deployments


def test_another_template_in_mid_release_goes_to_stable_at_once_and_starts_at_step_one(world):
    at_half(world)
    world.commit("v3")
    assert told(world)[:4] == ["weights v1:100", "close superseded", "make v3 1", "finalizer off"]
    assert (world.release.canary, world.release.step, world.release.weight) == ("v3", 0, 0)
    assert world.release.rejected == ()
    world.advance(minutes=6)
    assert (world.release.phase, world.release.stable, world.release.attempts) == ("Healthy", "v3", 2)


def test_going_back_to_a_version_that_was_left_for_another_starts_at_step_one(world):
    at_half(world)
    world.commit("v3")
    world.commit("v2")
    assert (world.release.canary, world.release.step, world.release.attempts) == ("v2", 0, 3)


def test_evidence_against_one_attempt_says_nothing_about_the_next(world):
    at_half(world)
    world.regress("v2")
    world.cluster.now += 5
    world._look()
    world.commit("v3")
    assert world.release.rejected == ()
    assert world.release.canary == "v3"


@pytest.mark.parametrize("steps", [[weight(50), pause("1h")], [weight(50), approve()]])
def test_looks_go_on_while_steps_wait(world, steps):
    world.given(release(steps).on("v2", at_step=1))
    world.advance(minutes=2)
    world.regress("v2")
    world.advance(seconds=15)
    assert world.release.phase == "RolledBack"


def test_a_canary_without_endpoints_gets_no_work_and_comes_back_at_the_same_step(world):
    at_half(world)
    world.unready("v2")
    assert told(world) == ["weights v1:100", "finalizer off"]
    assert (world.release.phase, world.release.reason) == ("Waiting", "CanaryUnready")
    world.advance(minutes=2)
    assert world.release.reason == "CanaryUnready"
    world.recover("v2")
    assert (world.traffic.canary, world.release.step) == (50, 1)
    world.advance(seconds=55)
    assert world.release.step == 1
    world.advance(minutes=3)
    assert (world.release.phase, world.release.stable) == ("Healthy", "v2")


def test_a_lost_service_of_the_canary_is_a_lost_canary_until_it_is_made_again(world):
    at_half(world)
    world.cluster.deployments["v2"].service = False
    world.settle()
    assert told(world) == ["weights v1:100", "make v2 3", "finalizer off", "finalizer on", "weights v1:50,v2:50"]


def test_readiness_lost_past_the_progress_deadline_is_the_versions_fault(world):
    at_half(world)
    world.unready("v2")
    world.advance(minutes=11)
    assert (world.release.phase, world.release.reason) == ("RolledBack", "ProgressDeadlineExceeded")


def test_pods_that_never_serve_exceed_the_progress_deadline(world):
    world.given(release(deadline="2m"))
    world.unready("v2")
    world.commit("v2")
    world.advance(seconds=115)
    assert world.release.phase == "Progressing"
    world.advance(seconds=15)
    assert (world.release.phase, world.release.reason) == ("RolledBack", "ProgressDeadlineExceeded")
    assert "0 of 1 pods of v2 serve after 120 s" in world.release.message


def test_a_version_whose_time_is_over_gets_nothing_more_before_it_goes(world):
    world.given(release(deadline="2m"))
    world.unready("v2")
    world.commit("v2")
    world.advance(seconds=115)
    world.log.clear()
    world.cluster.deployments["v2"].service = False
    world.cluster.now += 10
    world.settle()
    assert not [line for line in world.log if line.startswith(("make v2", "scale v2"))]
    assert world.release.is_rejected("v2")


@pytest.mark.parametrize(("trouble", "reason"), [("no_room", "NoCapacity"), ("no_image", "ImagePull")])
def test_what_is_not_the_versions_fault_is_never_rejected(world, trouble, reason):
    world.given(release(deadline="2m"))
    getattr(world, trouble)("v2")
    world.commit("v2")
    world.advance(minutes=60)
    assert (world.release.phase, world.release.reason) == ("Waiting", reason)
    assert world.traffic.stable == 100
    # its time begins when it gets its chance
    world.unready("v2")
    world.advance(seconds=100)
    assert world.release.rejected == ()
    world.recover("v2")
    world.advance(minutes=6)
    assert (world.release.phase, world.release.stable) == ("Healthy", "v2")


def test_a_secret_that_is_missing_is_named_and_may_still_come(world):
    world.given(release(deadline="2m"))
    world.cluster.behavior("v2").pods = CANNOT_BE_MADE
    world.commit("v2")
    world.advance(seconds=60)
    assert (world.release.phase, world.release.reason) == ("Waiting", "ContainerConfig")
    assert "pods say ContainerConfig" in world.release.message
    world.recover("v2")
    world.advance(minutes=6)
    assert (world.release.phase, world.release.stable) == ("Healthy", "v2")


def test_a_secret_that_never_comes_is_the_reason_of_the_rollback(world):
    world.given(release(deadline="2m"))
    world.cluster.behavior("v2").pods = CANNOT_BE_MADE
    world.commit("v2")
    world.advance(minutes=3)
    assert (world.release.phase, world.release.reason) == ("RolledBack", "ProgressDeadlineExceeded")
    assert world.release.message.endswith("pods say ContainerConfig")


def test_a_crash_loop_needs_no_statistics(world):
    at_half(world)
    world.crash_loop("v2")
    assert told(world) == ["weights v1:100", "close regression", "finalizer off"]
    assert world.release.last_rollback.reason == "CrashLoop"


def test_a_crash_loop_before_the_first_weight_is_rejected_too(world):
    world.given(release())
    world.crash_loop("v2")
    world.commit("v2")
    world.advance(seconds=10)
    assert (world.release.phase, world.release.reason) == ("RolledBack", "CrashLoop")


def test_a_crossing_with_too_few_bad_units_convicts_once_they_have_come(world):
    world.metrics.per_look = 60
    world.given(release([weight(5, analyze("1m", "60m"))], min_units=0, alpha=0.5).on("v2"))
    world.regress("v2", 1.0)
    world.cluster.behavior("v1").errors = 0.0
    world.advance(seconds=5)
    assert world.release.rejected == ()
    world.advance(seconds=5)
    assert world.release.last_rollback.evidence.startswith("errors 6/6 vs 0/114")


def test_a_very_good_canary_on_a_bad_stable_is_no_trouble_for_the_test(world):
    world.given(release([weight(50, analyze("1m", "10m"))]).on("v2"))
    world.cluster.behavior("v1").errors = 0.5
    world.regress("v2", 0.0)
    world.advance(minutes=5)
    assert world.release.phase == "Progressing"
