"""A good version comes out: capacity before weight, weight before looks, steps in order, promotion last."""

import pytest

from controller.api.strategy import Scale
from controller.rollout.sizing import Sizing
from tests.unit.rollout.cluster import START_S
from tests.unit.rollout.language import BY_PODS, analyze, approve, pause, release, weight
from tests.unit.rollout.world import World

ORDER = [
    "make v2 1",
    "finalizer on",
    "weights v1:95,v2:5",
    "scale v2 3",
    "weights v1:50,v2:50",
    "scale v2 4",
    "close promoted",
    "weights v2:100",
    "service v2",
    "finalizer off",
    "retire v1",
]


def told(world: World) -> list[str]:
    return [line for line in world.log if not line.startswith("status")]


def test_a_version_comes_out_in_this_order(world):
    world.given(release())
    world.commit("v2")
    world.advance(minutes=5)
    assert told(world) == ORDER
    assert world.release.phase == "Healthy"
    assert world.release.stable == "v2"


def test_the_canary_gets_no_work_before_its_pods_serve(world):
    world.given(release())
    world.commit("v2")
    assert world.release.reason == "CanaryStarting"
    world.advance(seconds=START_S - 5)
    assert world.traffic.canary == 0
    world.advance(seconds=5)
    assert world.traffic.canary == 5


def test_more_weight_waits_for_more_pods_and_keeps_what_there_is(world):
    world.given(release().on("v2"))
    world.until(lambda: world.release.step == 1)
    assert "scale v2 3" in world.log
    assert world.traffic.canary == 5
    world.advance(seconds=START_S)
    assert world.traffic.canary == 50


def test_a_step_stays_for_at_most_and_its_clock_starts_with_its_weight(world):
    world.given(release([weight(5, analyze("10s", "1m"))]).on("v2"))
    world.advance(seconds=55)
    assert world.release.reason == "Analyzing"
    world.advance(seconds=5)
    assert world.release.phase == "Promoting"


def test_going_on_without_proof_is_recorded_with_the_counts(world):
    world.given(release([weight(5, analyze("10s", "1m"))]).on("v2"))
    world.advance(minutes=3)
    assert [one.step for one in world.release.unproven] == [0]
    assert "continued unproven after 60 s (errors 0/1200 vs" in world.release.unproven[0].message
    assert world.release.judged == "Unproven"


def test_what_the_last_release_left_unproven_is_not_the_next_ones(world):
    world.given(release([weight(5, analyze("10s", "1m"))]).on("v2"))
    world.advance(minutes=3)
    world.commit("v3")
    assert world.release.unproven == ()


def test_without_proof_the_manifest_may_ask_for_a_rollback(world):
    world.given(release([weight(5, analyze("10s", "1m"))], on_timeout="rollback").on("v2"))
    world.advance(minutes=2)
    assert (world.release.phase, world.release.reason) == ("RolledBack", "Unproven")


def test_without_proof_the_manifest_may_ask_for_a_person(world):
    world.given(release([weight(5, analyze("10s", "1m"))], on_timeout="wait").on("v2"))
    world.advance(minutes=20)
    assert (world.release.phase, world.release.reason) == ("Paused", "Unproven")
    world.ask("approve")
    assert world.release.phase == "Promoting"


def test_too_little_traffic_waits_until_it_has_come(world):
    world.metrics.per_look = 20
    world.given(release([weight(5, analyze("10s", "1m"))]).on("v2"))
    world.advance(minutes=2)
    assert (world.release.phase, world.release.reason) == ("Waiting", "AwaitingTraffic")
    assert world.traffic.canary == 5
    world.advance(minutes=5)
    assert world.release.phase == "Healthy"


def test_a_person_may_end_the_wait_for_traffic(world):
    world.metrics.per_look = 0
    world.given(release([weight(5, analyze("10s", "1m"))]).on("v2"))
    world.advance(minutes=2)
    world.ask("approve")
    assert "approved unproven by ana" in world.release.unproven[0].message


def test_a_suspicion_that_cannot_convict_yet_stops_the_step(world):
    world.metrics.per_look = 60
    world.given(release([weight(5, analyze("10s", "20s"))], min_units=0, alpha=0.5).on("v2"))
    world.regress("v2", 1.0)
    world.cluster.behavior("v1").errors = 0.0
    world.advance(seconds=5)
    world.regress("v2", 0.0)
    world.advance(minutes=5)
    assert (world.release.phase, world.release.reason) == ("Waiting", "Suspicious")
    assert world.traffic.canary == 5


def test_a_pause_lasts_as_long_as_it_says_and_its_status_stands_still(world):
    world.given(release([weight(5), pause("1m"), weight(50, analyze("5s", "1m"))], metrics=()).on("v2", at_step=1))
    world.log.clear()
    world.advance(seconds=50)
    assert world.log == []
    world.advance(seconds=30)
    assert world.traffic.canary == 50


def test_a_version_is_taken_back_during_a_pause_too(world):
    world.given(release([weight(5), pause("1h")]).on("v2", at_step=1))
    world.regress("v2")
    world.advance(seconds=15)
    assert world.release.is_rejected("v2")
    assert world.traffic.of("v2") == 0


def test_an_approval_step_waits_for_ever(world):
    world.given(release([weight(5), approve()]).on("v2", at_step=1))
    world.advance(minutes=30)
    assert (world.release.phase, world.release.reason) == ("Paused", "AwaitingApproval")
    assert world.condition("Reconciling")["reason"] == "Paused"


def test_promotion_waits_for_the_full_size_also_with_a_fixed_canary(world):
    world.given(release([weight(50, analyze("5s", "30s"))], scale=Scale(fixed=1)).on("v2"))
    world.until(lambda: world.release.phase == "Promoting")
    assert world.release.reason == "CanaryStarting"
    assert world.traffic.of("v2") == 50
    world.advance(seconds=START_S)
    order = told(world)
    assert order.index("scale v2 4") < order.index("weights v2:100")
    assert world.traffic.of("v2") == 100


def test_a_last_step_at_100_percent_promotes_only_with_every_pod_there(world):
    world.given(release([weight(100, analyze("5s", "30s"))]).on("v2"))
    world.advance(seconds=25)
    world.edit(replicas=8)
    world.advance(seconds=5)
    assert (world.release.step, world.release.stable, world.release.phase) == (1, "v1", "Promoting")
    world.advance(seconds=5)
    assert world.release.stable == "v2"


def test_the_old_version_drains_before_it_goes(world):
    world.given(release([weight(5), pause("5s")]).on("v2"))
    world.until(lambda: world.release.stable == "v2")
    assert (world.release.phase, world.release.reason) == ("Promoting", "Draining")
    world.advance(seconds=25)
    assert "v1" in world.cluster.deployments
    world.advance(seconds=5)
    assert "v1" not in world.cluster.deployments
    assert world.release.phase == "Healthy"


def test_an_old_version_that_still_gets_work_keeps_its_pods_until_it_is_quiet(world):
    world.given(release([weight(5), pause("5s")]).on("v2"))
    world.old_is_quiet = False
    world.until(lambda: world.release.stable == "v2")
    world.advance(seconds=120)
    assert (world.release.phase, world.release.reason) == ("Promoting", "Draining")
    assert "v1" in world.cluster.deployments
    world.old_is_quiet = True
    world.advance(seconds=1)
    assert "v1" not in world.cluster.deployments
    assert world.release.phase == "Healthy"


def test_an_old_version_that_never_gets_quiet_goes_after_drain_max(world):
    world.given(release([weight(5), pause("5s")]).on("v2"))
    world.old_is_quiet = False
    world.until(lambda: world.release.stable == "v2")
    world.advance(seconds=295)
    assert "v1" in world.cluster.deployments
    world.advance(seconds=10)
    assert "v1" not in world.cluster.deployments
    assert world.release.phase == "Healthy"


def test_asking_for_the_draining_version_again_starts_at_step_one(world):
    world.given(release().on("v2"))
    world.until(lambda: world.release.stable == "v2")
    world.commit("v1")
    assert (world.release.canary, world.release.step) == ("v1", 0)
    world.advance(minutes=6)
    assert (world.release.phase, world.release.stable) == ("Healthy", "v1")


def test_edits_that_follow_each_other_leave_no_row_of_versions(world):
    world.given(release())
    for number in range(2, 12):
        world.commit(f"v{number}")
        world.advance(seconds=4)
        assert set(world.cluster.deployments) == {"v1", f"v{number}"}
    world.advance(minutes=6)
    assert world.release.stable == "v11"


def test_a_release_without_steps_needs_only_its_pods(world):
    world.given(release([]))
    world.commit("v2")
    assert world.traffic.of("v2") == 0
    world.advance(minutes=1)
    assert (world.release.phase, world.release.stable) == ("Healthy", "v2")


def test_without_metrics_nothing_claims_to_have_been_judged(world):
    world.given(release([weight(5), pause("10s")], metrics=()).on("v2", at_step=1))
    world.advance(minutes=2)
    assert world.release.judged == "NoMetrics"


def test_by_pods_stable_gives_up_pods_after_the_canary_takes_part(world):
    world.given(release([weight(50, analyze("5s", "30s"))], by=BY_PODS))
    world.commit("v2")
    assert world.cluster.deployments["v1"].wanted == 4
    world.advance(seconds=START_S)
    assert told(world)[:4] == ["make v2 2", "finalizer on", "weights v1:50,v2:50", "scale v1 2"]
    assert world.traffic.canary == 50
    world.advance(minutes=2)
    assert told(world)[4:] == ["scale v2 4", "close promoted", "weights v2:100", "finalizer off", "retire v1"]


def test_by_pods_a_leaving_version_is_gone_before_the_next_one_takes_part(world):
    world.given(release([weight(25), pause("1m")], by=BY_PODS, metrics=()).on("v2", at_step=1))
    world.until(lambda: world.release.stable == "v2")
    world.commit("v3")
    world.advance(seconds=START_S + 5)
    assert world.release.reason == "Draining"
    assert world.traffic.of("v1") == world.traffic.of("v3") == 0
    world.advance(seconds=20)
    assert world.traffic.of("v3") == 25


def test_one_replica_comes_out_like_many(world):
    for by in Sizing:
        world = World().given(release(replicas=1, by=by))
        world.commit("v2")
        world.advance(minutes=5)
        assert (world.release.phase, world.release.stable) == ("Healthy", "v2")


def test_at_zero_replicas_the_unjudged_version_waits(world):
    world.given(release(replicas=0))
    world.commit("v2")
    world.advance(minutes=60)
    assert (world.release.phase, world.release.reason) == ("Waiting", "ScaledToZero")
    assert world.release.stable == "v1"
    world.edit(replicas=2)
    world.advance(minutes=5)
    assert (world.release.phase, world.release.stable) == ("Healthy", "v2")


def test_scaling_to_zero_in_mid_release_takes_the_weight_first_and_comes_back_at_the_same_step(world):
    world.given(release().on("v2", at_step=1))
    world.log.clear()
    world.edit(replicas=0)
    assert told(world) == ["weights v1:100", "scale v2 0", "scale v1 0", "finalizer off"]
    world.edit(replicas=4)
    world.advance(seconds=START_S)
    assert (world.release.step, world.traffic.canary) == (1, 50)


@pytest.mark.parametrize("by", Sizing)
def test_without_metrics_scaling_to_zero_in_mid_release_ends_no_trial(by):
    world = World().given(release([weight(50), approve()], metrics=(), by=by).on("v2"))
    world.until(lambda: world.release.reason == "AwaitingApproval")
    world.edit(replicas=0)
    world.advance(minutes=60)
    assert (world.release.phase, world.release.reason) == ("Waiting", "ScaledToZero")
    assert {name: one.wanted for name, one in world.cluster.deployments.items()} == {"v1": 0, "v2": 0}
    assert world.traffic.canary == 0
    assert world.release.stable == "v1"
    world.edit(replicas=4)
    world.until(lambda: world.release.reason == "AwaitingApproval", minutes=5)
    assert world.traffic.canary == 50


def test_an_autoscaler_moves_both_versions_and_no_weight(world):
    world.given(release().on("v2", at_step=1))
    world.until(lambda: world.traffic.canary == 50)
    world.log.clear()
    world.edit(replicas=8)
    assert told(world) == ["scale v2 5", "scale v1 8"]
    assert world.traffic.canary == 50


def test_by_pods_an_autoscaler_keeps_the_share(world):
    world.given(release([weight(50, analyze("1m", "10m"))], replicas=8, by=BY_PODS).on("v2"))
    world.edit(replicas=2)
    assert world.traffic.canary == 50
    world.edit(replicas=8)
    world.advance(seconds=START_S)
    assert world.traffic.canary == 50
