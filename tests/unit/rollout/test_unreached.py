"""A version whose first pod is ready, while nodes still learn of it, gets no work. Nothing else is held against it."""

import pytest

from controller.rollout.bake import Bake
from tests.unit.rollout.cluster import ONE_READY, START_S
from tests.unit.rollout.language import analyze, approve, blue_green, release, weight
from tests.unit.rollout.test_flapping import flaps
from tests.unit.rollout.world import World

NETWORK_S = 7.0
"""Longer than the time between two looks."""


def given(world: World, what) -> World:
    world.given(what)
    world.advance(seconds=10)  # what runs by now is reached
    world.cluster.reachability.network_s = NETWORK_S
    return world


def restarts(world: World, revision: str) -> None:
    """All of its pods at once."""
    world.unready(revision)
    world.recover(revision)


def events(world: World, reason: str) -> list[str]:
    return [event.message for event in world.cluster.events if event.reason == reason]


def test_a_version_that_has_its_pods_in_time_is_not_rejected_for_the_nodes(world):
    given(world, release([weight(50), approve()], deadline="12s"))
    world.commit("v2")
    world.advance(seconds=START_S + 5)
    assert (world.release.reason, world.traffic.canary) == ("CanaryStarting", 0)
    world.advance(seconds=5)
    assert (world.release.reason, world.traffic.canary) == ("AwaitingApproval", 50)


def test_one_that_is_never_ready_for_so_long_ends_with_its_progress_deadline_and_gets_no_work(world):
    given(world, release([weight(50), approve()], deadline="5m"))
    world.commit("v2")
    flaps(world, ready=5, unready=5, minutes=10)
    assert (world.release.phase, world.release.reason) == ("RolledBack", "ProgressDeadlineExceeded")
    assert events(world, "Weight") == []


def test_a_pod_that_crashes_beside_a_ready_one_does_not_end_the_trial(world):
    given(world, release([weight(50), approve()]))
    world.pods("v2", ONE_READY)
    world.commit("v2")
    world.advance(seconds=START_S)
    assert world.release.canary == "v2"
    world.recover("v2")
    world.advance(seconds=10)
    assert world.traffic.canary == 50


def test_a_canary_that_lost_its_only_pod_gets_its_work_again_once(world):
    given(world, release([weight(25), approve()]).on("v2"))
    restarts(world, "v2")
    world.advance(seconds=5)
    assert world.traffic.canary == 0
    world.advance(minutes=20)
    assert (world.release.reason, world.traffic.canary) == ("AwaitingApproval", 25)
    assert len(events(world, "Weight")) == 2
    assert len(events(world, "CanaryUnready")) == 1


def test_one_that_lost_its_pods_after_a_switch_gets_all_of_the_work_again(world):
    given(world, blue_green().on("v2"))
    restarts(world, "v2")
    assert world.traffic.of("v1") == 100
    world.advance(seconds=10)
    assert world.traffic.of("v2") == 100


@pytest.mark.parametrize("what", [blue_green(), release([weight(50), approve()])], ids=["switch", "weight"])
def test_an_abort_gives_stable_its_work_at_once(world, what):
    given(world, what.on("v2"))
    restarts(world, "v1")
    world.ask("abort", "v2")
    assert (world.traffic.of("v1"), world.release.is_rejected("v2")) == (100, True)


def test_stable_whose_pods_were_all_replaced_keeps_its_part(world):
    given(world, release([weight(50), approve()]).on("v2"))
    restarts(world, "v1")
    assert (world.traffic.of("v1"), world.traffic.of("v2")) == (50, 50)


def healthy(world: World, **spec) -> World:
    """v2 took over from v1, whose pods are gone."""
    given(world, release([weight(50, analyze("5s", "20s"))], **spec))
    world.commit("v2")
    world.advance(minutes=3)
    assert set(world.cluster.deployments) == {"v2"}
    return world


def test_a_person_who_goes_back_leaves_no_pods_that_are_ready_for_none(world):
    restarts(healthy(world), "v2")
    world.ask("rollback", "v2")
    assert (world.traffic.of("v2"), world.release.stable) == (100, "v2")
    world.advance(seconds=START_S + 10)
    assert (world.traffic.of("v1"), world.release.stable) == (100, "v1")


def test_going_back_is_not_given_up_for_the_nodes(world):
    healthy(world, deadline="20s")
    world.cluster.reachability.network_s = 30.0
    world.ask("rollback", "v2")
    world.advance(seconds=START_S + 25)
    assert world.release.phase == "RollingBack"
    world.advance(seconds=10)
    assert world.traffic.of("v1") == 100


def test_a_first_version_whose_pods_are_back_keeps_the_work_until_the_next_has_all_of_its_pods(world):
    given(world, release([weight(20), Bake(weight=95, seconds=300)], limits={"floor": 0.02}).first())
    world.advance(seconds=20)
    world.pods("v2", ONE_READY)
    world.commit("v2")
    world.advance(seconds=START_S)
    world.unready("v1")
    world.advance(seconds=5)
    world.recover("v1")
    world.advance(seconds=5)
    assert (world.traffic.of("v1"), world.cluster.states()["v2"].serving) == (100, 1)
