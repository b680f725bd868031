"""The first version, suspending, deleting, and what people change by hand."""

import pytest

from tests.unit.rollout.language import BY_CLAIMS, BY_PODS, BY_WEIGHT, analyze, approve, pause, release, weight
from tests.unit.rollout.test_rollout import told


@pytest.mark.parametrize("by", [BY_WEIGHT, BY_PODS])
def test_the_first_deployment_serves_when_ready_and_says_that_nothing_judged_it(world, by):
    world.given(release(by=by).first())
    world.settle()
    assert world.release.phase == "Pending"
    assert world.traffic.of("v1") == 0
    world.advance(seconds=10)
    assert (world.release.phase, world.release.judged) == ("Healthy", "FirstDeployment")
    assert world.traffic.stable == 100
    assert world.cluster.service == "v1"
    assert not world.cluster.finalizer
    order = ["make v1 4", "weights v1:100", "service v1"] if by is BY_WEIGHT else ["make v1 4", "service v1"]
    assert told(world) == order


def test_a_first_deployment_that_cannot_start_waits_and_is_not_rejected(world):
    world.given(release().first())
    world.crash_loop("v1")
    world.advance(minutes=30)
    assert (world.release.phase, world.release.reason) == ("Waiting", "CrashLoop")
    world.commit("v2")
    assert "v1" not in world.cluster.deployments
    world.advance(seconds=15)
    assert (world.release.phase, world.release.stable) == ("Healthy", "v2")


def test_consumers_of_a_queue_are_named_before_they_have_begun_because_they_take_nothing_until_then(world):
    world.given(release(by=BY_CLAIMS).first())
    world.settle()
    assert (world.release.phase, world.release.weight, world.traffic.of("v1")) == ("Pending", 0, 100)
    assert told(world) == ["make v1 4", "weights v1:100"]
    world.advance(seconds=10)
    assert (world.release.phase, world.release.judged) == ("Healthy", "FirstDeployment")
    assert told(world) == ["make v1 4", "weights v1:100", "service v1"]


def test_first_consumers_that_cannot_start_make_room_for_the_next_ones(world):
    world.given(release(by=BY_CLAIMS).first())
    world.crash_loop("v1")
    world.advance(minutes=5)
    world.commit("v2")
    assert (world.traffic.of("v2"), set(world.cluster.deployments)) == (100, {"v2"})


def test_first_consumers_that_work_keep_the_queue_until_the_next_ones_are_ready(world):
    world.given(release(by=BY_CLAIMS).first())
    world.settle()
    world.cluster.deployments["v1"].started[0] -= 10
    world.commit("v2")
    assert (world.traffic.of("v1"), set(world.cluster.deployments)) == (100, {"v1", "v2"})
    world.advance(seconds=10)
    assert world.traffic.of("v2") == 100


def test_a_ledger_that_was_lost_is_written_again_within_a_minute(world):
    world.given(release(by=BY_CLAIMS))
    world.cluster.route = None
    again_in = world.reconcile().again_in
    assert told(world) == ["weights v1:100"]
    assert again_in == 0, "the looks begin with the next decision"
    assert world.reconcile().again_in == 60, "nothing else would tell"


def test_a_first_deployment_of_nothing_is_healthy(world):
    world.given(release(replicas=0).first())
    world.settle()
    assert (world.release.phase, world.release.stable) == ("Healthy", "v1")


def test_stable_that_lost_all_its_pods_is_said(world):
    world.given(release())
    world.unready("v1")
    assert (world.release.phase, world.release.reason) == ("Waiting", "StableUnready")


@pytest.mark.parametrize("by", [BY_WEIGHT, BY_PODS])
def test_a_pause_before_the_first_weight_begins_when_the_pods_serve(world, by):
    world.given(release([pause("1m"), weight(50), approve()], by=by, metrics=()))
    world.no_room("v2")
    world.commit("v2")
    world.advance(minutes=5)
    world.recover("v2")
    world.until(lambda: world.release.reason == "Pausing")
    world.advance(seconds=50)
    assert (world.release.reason, world.release.weight) == ("Pausing", 0)
    world.advance(seconds=40)
    assert (world.release.reason, world.traffic.canary) == ("AwaitingApproval", 50)


def test_a_pause_before_the_first_weight_begins_once_though_pods_are_lost_in_it(world):
    world.given(release([pause("1m"), weight(50), approve()], metrics=()))
    world.commit("v2")
    world.until(lambda: world.release.reason == "Pausing")
    started = world.release.attempt.clock.step_started
    world.advance(seconds=30)
    world.no_room("v2")
    world.advance(seconds=10)
    world.recover("v2")
    world.advance(seconds=15)
    assert world.release.attempt.clock.step_started >= started
    world.until(lambda: world.release.reason == "AwaitingApproval")
    assert world.traffic.canary == 50


def test_suspending_stops_steps_and_keeps_weights(world):
    world.given(release([weight(5, analyze("5s", "1m")), weight(50)]).on("v2"))
    world.advance(seconds=30)
    world.edit(suspend=True)
    world.log.clear()
    world.advance(minutes=60)
    assert told(world) == []
    assert (world.release.phase, world.release.reason) == ("Paused", "Suspended")
    assert world.traffic.canary == 5


def test_the_steps_clock_stands_still_while_suspended(world):
    world.given(release([weight(5, analyze("5s", "1m")), weight(50)]).on("v2"))
    world.advance(seconds=30)
    world.edit(suspend=True)
    world.advance(minutes=60)
    world.edit(suspend=False)
    world.advance(seconds=25)
    assert world.release.reason == "Analyzing"
    world.advance(seconds=10)
    assert world.release.step == 1


def test_a_suspended_version_that_had_no_chance_to_start_is_not_rejected_for_it(world):
    world.given(release(deadline="2m"))
    world.no_room("v2")
    world.commit("v2")
    world.edit(suspend=True)
    world.advance(minutes=10)
    world.unready("v2")
    world.edit(suspend=False)
    assert world.release.rejected == ()


@pytest.mark.parametrize("by", [BY_WEIGHT, BY_PODS])
def test_what_protects_goes_on_while_suspended(world, by):
    world.given(release([weight(50, analyze("5s", "10m"))], by=by).on("v2"))
    world.edit(suspend=True)
    world.unready("v2")
    assert world.traffic.of("v2") == 0
    world.advance(seconds=10)
    assert world.traffic.of("v1") == 100
    assert world.cluster.deployments["v1"].wanted == 4
    world.crash_loop("v2")
    assert world.release.is_rejected("v2")
    assert world.release.phase == "Paused"
    world.edit(suspend=False)
    world.advance(seconds=10)
    assert world.release.phase == "RolledBack"


def test_a_commit_while_suspended_waits(world):
    world.given(release())
    world.edit(suspend=True)
    world.commit("v2")
    world.advance(minutes=5)
    assert "v2" not in world.cluster.deployments
    world.edit(suspend=False)
    assert world.release.canary == "v2"


@pytest.mark.parametrize("by", [BY_WEIGHT, BY_PODS])
@pytest.mark.parametrize("suspend", [True, False])
def test_deleting_brings_traffic_to_stable_and_then_lets_go(world, by, suspend):
    world.given(release(by=by).on("v2", at_step=1))
    world.edit(suspend=suspend)
    world.log.clear()
    world.delete()
    assert told(world) == ["weights v1:100", "finalizer off"]
    assert world.cluster.gone


def test_deleting_at_rest_or_before_the_first_version_holds_nothing(world):
    for given in (release(), release().first()):
        world.given(given)
        world.delete()
        assert told(world) == []
        assert world.cluster.gone
        world = type(world)()


def test_a_request_to_a_release_that_is_being_deleted_is_refused(world):
    world.given(release().on("v2"))
    world.deleting = True
    name = world.ask("abort")
    assert world.answer(name) == "refused: the release is being deleted"


def test_the_finalizer_is_there_only_while_the_canary_has_weight(world):
    world.given(release())
    assert not world.cluster.finalizer
    world.commit("v2")
    assert not world.cluster.finalizer
    world.advance(seconds=10)
    assert world.cluster.finalizer
    world.until(lambda: world.release.stable == "v2")
    assert not world.cluster.finalizer


@pytest.mark.parametrize("route", [None, {"v1": 100.0}, {"v1": 40.0, "v2": 60.0}, {"v9": 100.0}])
def test_a_route_edited_or_deleted_by_hand_is_put_back(world, route):
    world.given(release([weight(5), pause("10m")]).on("v2", at_step=1))
    world.cluster.route = route
    world.settle()
    assert world.cluster.route == {"v1": 95.0, "v2": 5.0}


def test_a_route_edited_while_pods_are_awaited_is_put_back_too(world):
    world.given(release().on("v2"))
    world.until(lambda: world.release.step == 1)
    world.cluster.route = {"v1": 40.0, "v2": 60.0}
    world.settle()
    assert world.traffic.canary == 5


@pytest.mark.parametrize("by", [BY_WEIGHT, BY_PODS])
def test_a_deleted_service_name_is_made_again_in_mid_release(world, by):
    world.given(release([weight(25), pause("10m")], by=by).on("v2", at_step=1))
    world.cluster.service = None
    world.settle()
    assert world.cluster.service == ("v1" if by is BY_WEIGHT else "")
    assert world.traffic.canary == 25


def test_what_was_scaled_by_hand_is_put_back(world):
    world.given(release())
    for count in (1, 9):
        world.cluster.deployments["v1"].scale(count, 0.0)
        world.settle()
        assert world.cluster.deployments["v1"].wanted == 4


def test_a_first_deployment_is_settled_in_one_decision_whatever_was_tried_before_it(world):
    world.given(release(by=BY_PODS).first())
    world.commit("v1")
    world.commit("v2")
    world.edit(replicas=0)
    assert (world.release.phase, world.release.stable) == ("Healthy", "v2")
    assert set(world.cluster.deployments) == {"v2"}


def test_a_lost_service_and_lost_pods_come_back_in_one_decision(world):
    world.given(release())
    world.cluster.deployments["v1"].scale(1, 0.0)
    world.cluster.deployments["v1"].service = False
    world.reconcile()
    assert world.cluster.deployments["v1"].service
    assert world.cluster.deployments["v1"].wanted == 4
