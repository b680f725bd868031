"""Leaving a healthy version for an older one: its pods first, then the work."""

import pytest

from tests.unit.rollout.cluster import START_S
from tests.unit.rollout.language import BY_PODS, BY_WEIGHT, analyze, release, weight
from tests.unit.rollout.world import World

BOTH = pytest.mark.parametrize("by", [BY_WEIGHT, BY_PODS])


def healthy(world: World, by=BY_WEIGHT) -> World:
    """v2 took over from v1, whose pods are gone."""
    world.given(release([weight(50, analyze("5s", "20s"))], by=by))
    world.commit("v2")
    world.advance(minutes=3)
    assert (world.release.phase, world.release.stable, world.release.previous) == ("Healthy", "v2", "v1")
    assert set(world.cluster.deployments) == {"v2"}
    return world


@BOTH
def test_rollback_leaves_a_healthy_version_pods_first_then_the_work(world, by):
    healthy(world, by)
    world.log.clear()
    name = world.ask("rollback", "v2", reason="orders are lost")
    assert world.answer(name) == "rolling back from v2 to v1: first its pods, then the traffic"
    assert (world.release.phase, world.release.reason) == ("RollingBack", "RolledBackByPerson")
    assert (world.traffic.of("v2"), world.cluster.deployments["v1"].wanted) == (100, 4)
    world.advance(seconds=START_S)
    assert world.traffic.of("v1") == 100
    assert "v2" in world.cluster.deployments, "it drains"
    world.advance(minutes=1)
    assert set(world.cluster.deployments) == {"v1"}
    assert world.cluster.service == "v1"
    assert (world.release.phase, world.release.reason) == ("RolledBack", "RolledBackByPerson")
    assert world.release.message == "rolled back by ana: orders are lost"
    assert world.release.stable == "v1"
    world.commit("v1")
    assert world.release.phase == "Healthy"
    assert world.release.last_rollback.revision == "v2"


@BOTH
def test_where_stable_serves_nothing_the_older_version_gets_the_work_at_once(world, by):
    healthy(world, by)
    world.unready("v2")
    world.ask("rollback", "v2")
    assert world.release.stable == "v1"
    assert world.cluster.service == "v1"


def test_an_old_version_that_still_drains_takes_over_at_once(world):
    world.given(release([weight(50, analyze("5s", "20s"))]).on("v2"))
    world.until(lambda: world.release.reason == "Draining")
    world.ask("rollback", "v2")
    assert world.traffic.of("v1") == 100
    assert world.release.is_rejected("v2")


def test_an_older_version_that_does_not_come_up_is_given_up_and_stable_stays(world):
    healthy(world)
    world.unready("v1")
    world.ask("rollback", "v2")
    world.advance(minutes=9)
    assert world.release.phase == "RollingBack"
    world.advance(minutes=2)
    assert (world.release.phase, world.release.stable, world.release.going_back) == ("Healthy", "v2", None)
    assert not world.release.rejected
    assert set(world.cluster.deployments) == {"v2"}
    assert any(event.reason == "RollbackGivenUp" for event in world.cluster.events)


def test_going_back_goes_on_while_suspended(world):
    healthy(world)
    world.edit(suspend=True)
    world.ask("rollback", "v2")
    world.advance(seconds=START_S)
    assert world.traffic.of("v1") == 100
    assert world.release.reason == "Suspended"


def test_a_version_that_is_committed_while_going_back_comes_out_against_the_older_one(world):
    healthy(world)
    world.ask("rollback", "v2")
    world.commit("v3")
    assert world.release.canary == ""
    world.advance(seconds=START_S)
    assert (world.release.stable, world.release.canary) == ("v1", "v3")
    world.advance(minutes=3)
    assert world.release.stable == "v3"


def test_rollback_goes_to_the_version_that_is_named(world):
    healthy(world)
    world.commit("v3")
    world.advance(minutes=3)
    world.ask("rollback", "v3", to="v1")
    world.advance(minutes=1)
    assert world.release.stable == "v1"


def test_a_left_version_comes_back_by_retry_as_a_canary(world):
    healthy(world)
    world.ask("rollback", "v2")
    world.advance(minutes=1)
    world.ask("retry", "v2")
    assert world.release.canary == "v2"
    world.advance(minutes=3)
    assert (world.release.phase, world.release.stable) == ("Healthy", "v2")


@pytest.mark.parametrize("after", range(7))
def test_a_crash_on_the_way_back_ends_the_same(world, after):
    healthy(world)
    world.ask("rollback", "v2")
    world.cluster.now += START_S
    world.crash_at = (world.decisions + 1, after)
    world.settle()
    world.advance(minutes=1)
    assert (world.release.phase, world.release.stable) == ("RolledBack", "v1")
    assert [one.revision for one in world.release.rejected] == ["v2"]
    assert set(world.cluster.deployments) == {"v1"}
