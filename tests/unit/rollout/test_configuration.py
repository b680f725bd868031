"""A ConfigMap that is missing is no fault of a version: nothing is begun or rejected, and what runs goes on."""

from __future__ import annotations

import pytest

from tests.unit.rollout.language import analyze, approve, release, weight
from tests.unit.rollout.world import MISSING, UNKNOWN, World

STEPS = [weight(5, analyze("30s", "1m")), approve(), weight(50, analyze("30s", "1m"))]


def events(world: World, reason: str) -> list[str]:
    return [one.message for one in world.cluster.events if one.reason == reason]


def test_at_rest_a_config_map_that_goes_is_told_once_and_stable_goes_on():
    world = World().given(release(STEPS))
    world.settle()
    world.configuration = MISSING
    world.advance(seconds=300)
    assert (world.release.phase, world.release.reason) == ("Waiting", "ConfigMissing")
    assert world.traffic.stable == 100
    assert len(events(world, "ConfigMissing")) == 1
    world.configuration = ""
    world.advance(seconds=5)
    assert world.release.phase == "Healthy"


def test_in_mid_release_a_config_map_that_goes_ends_nothing():
    world = World().given(release(STEPS).on("v2"))
    world.configuration = MISSING
    world.until(lambda: world.release.phase == "Paused")
    assert world.traffic.canary == 5
    assert "does not exist" in world.release.message
    world.ask("approve")
    world.until(lambda: world.release.stable == "v2")
    assert not world.release.rejected


@pytest.mark.parametrize("mode", ["restart", "finish", "queue"])
def test_a_version_without_its_configuration_is_not_begun(mode):
    world = World().given(release(STEPS, on_new_version=mode))
    world.settle()
    world.configuration = UNKNOWN
    world.commit("v2")
    world.advance(seconds=700)
    assert (world.release.phase, world.release.reason) == ("Waiting", "ConfigMissing")
    assert (world.release.attempts, world.release.rejected, world.release.queued) == (0, (), ())
    assert set(world.cluster.deployments) == {"v1"}
    world.configuration = ""
    world.advance(seconds=20)
    assert world.release.canary == "v2"


def test_a_commit_without_its_configuration_takes_the_traffic_from_the_canary():
    world = World().given(release(STEPS).on("v2"))
    world.configuration = UNKNOWN
    world.commit("v3")
    assert world.traffic.stable == 100
    assert (world.release.canary, world.release.reason) == ("", "ConfigMissing")
    world.advance(seconds=20)
    assert set(world.cluster.deployments) == {"v1"}


def test_one_under_way_goes_to_its_end_where_the_newer_one_waits():
    world = World().given(release(STEPS[:1], on_new_version="finish").on("v2"))
    world.configuration = UNKNOWN
    world.commit("v3")
    world.until(lambda: world.release.stable == "v2")
    world.until(lambda: world.release.reason == "ConfigMissing")


def test_versions_that_wait_in_the_queue_come_out_meanwhile():
    world = World().given(release(STEPS[:1], on_new_version="queue").on("v2"))
    world.commit("v3")
    world.configuration = UNKNOWN
    world.commit("v4")
    world.until(lambda: world.release.stable == "v3", minutes=20)


def test_a_first_version_waits_without_pods():
    world = World().given(release(STEPS).first())
    world.configuration = UNKNOWN
    world.settle()
    assert (world.release.phase, world.release.reason) == ("Waiting", "ConfigMissing")
    assert not world.cluster.deployments
    world.configuration = ""
    world.until(lambda: world.release.phase == "Healthy")


def test_what_changed_is_said_with_the_rollout_and_with_the_rollback():
    world = World().given(release(STEPS))
    world.settle()
    world.config_change = "configuration: prompts/tone changed"
    world.commit("v2")
    assert events(world, "NewVersion")[-1].endswith("against v1; configuration: prompts/tone changed")
    world.advance(seconds=30)
    world.ask("abort")
    assert world.release.last_rollback is not None
    assert world.release.last_rollback.change == "configuration: prompts/tone changed"
    assert events(world, "Aborted")[-1].endswith("; configuration: prompts/tone changed")
