"""`keepFailed`: one pod of a rejected version stays for a look. It gets no work, and nothing waits for it."""

from dataclasses import replace

import pytest

from tests.unit.rollout.language import BY_CLAIMS, BY_PODS, BY_WEIGHT, release

EVERY = pytest.mark.parametrize("by", [BY_WEIGHT, BY_PODS, BY_CLAIMS])
MINUTES = 15


def keeping(**given):
    found = release(**given)
    return replace(found, spec=replace(found.spec, keep_failed=MINUTES * 60.0))


def sizes(world):
    return {revision: one.wanted for revision, one in world.cluster.deployments.items()}


def rolled_back(world, **given):
    """v2, which has two pods, crashes with half of the work."""
    world.given(keeping(**given).on("v2", at_step=1))
    world.crash_loop("v2")
    world.advance(seconds=10)
    assert world.release.phase == "RolledBack"


@EVERY
def test_one_pod_stays_and_then_it_goes(world, by):
    rolled_back(world, by=by)
    assert sizes(world) == {"v1": 4, "v2": 1}
    assert "1 pod of v2 stays without work until 20" in world.release.message
    world.advance(minutes=MINUTES - 1)
    assert sizes(world) == {"v1": 4, "v2": 1}
    world.advance(minutes=1)
    assert sizes(world) == {"v1": 4}
    assert world.release.phase == "RolledBack"
    assert "stays" not in world.release.message
    assert world.release.failed_kept_until is None


@EVERY
def test_it_gets_no_work(world, by):
    rolled_back(world, by=by)
    world.recover("v2")
    world.advance(minutes=1)
    assert world.traffic.of("v2") == 0
    assert world.cluster.service == "v1"
    assert world.cluster.weights() == {"v1": 100}


def test_it_keeps_its_pods_until_the_router_has_followed(world):
    world.given(keeping().on("v2", at_step=1))
    world.regress("v2", 0.5)
    world.until(lambda: world.release.canary == "")
    before = sizes(world)["v2"]
    assert before > 1
    assert world.release.phase == "RollingBack"
    world.advance(seconds=4)
    assert sizes(world)["v2"] == before


@pytest.mark.parametrize("by", [BY_WEIGHT, BY_CLAIMS])
def test_the_next_version_comes_beside_it(world, by):
    rolled_back(world, by=by)
    world.commit("v3")
    world.until(lambda: world.release.stable == "v3", minutes=10)
    assert sizes(world)["v2"] == 1
    world.advance(minutes=MINUTES)
    assert sizes(world) == {"v3": 4}


def test_where_pods_are_the_split_it_goes_before_the_next_version_has_work(world):
    rolled_back(world, by=BY_PODS)
    world.recover("v2")
    world.commit("v3")
    world.until(lambda: world.cluster.service == "", minutes=2)
    assert set(sizes(world)) == {"v1", "v3"}
    assert world.release.failed_kept_until is None


def test_the_phase_is_that_of_a_release_without_it(world):
    rolled_back(world)
    world.commit("v1")
    assert world.release.phase == "Healthy"
    assert "1 pod of v2 stays" in world.release.message
    assert sizes(world)["v2"] == 1


def test_a_deletion_waits_for_none_of_it(world):
    rolled_back(world)
    world.delete()
    assert world.cluster.gone


def test_it_goes_at_once_when_the_field_goes(world):
    rolled_back(world)
    world.edit(keep_failed=None)
    assert sizes(world) == {"v1": 4}


def test_the_version_that_was_rejected_last_takes_its_place(world):
    rolled_back(world)
    world.commit("v3")
    world.until(lambda: world.traffic.canary > 0)
    world.crash_loop("v3")
    world.advance(seconds=15)
    assert sizes(world) == {"v1": 4, "v3": 1}


def test_a_retry_takes_it_into_its_attempt(world):
    rolled_back(world)
    world.recover("v2")
    world.ask("retry", "v2")
    assert world.release.canary == "v2"
    world.until(lambda: world.release.stable == "v2", minutes=10)
    world.advance(minutes=2)
    assert sizes(world) == {"v2": 4}


def test_without_the_field_nothing_stays(world):
    world.given(release().on("v2", at_step=1))
    world.crash_loop("v2")
    world.advance(seconds=10)
    assert sizes(world) == {"v1": 4}
    assert "stays" not in world.release.message


def test_a_version_that_a_person_left_drains_first(world):
    world.given(keeping())
    world.commit("v2")
    world.until(lambda: world.release.stable == "v2" and set(sizes(world)) == {"v2"}, minutes=20)
    world.ask("rollback", "v2", to="v1", reason="orders are lost")
    world.until(lambda: world.release.stable == "v1")
    world.old_is_quiet = False
    world.advance(minutes=1)
    assert sizes(world)["v2"] == 4, "it still gets work"
    world.old_is_quiet = True
    world.advance(seconds=10)
    assert sizes(world) == {"v1": 4, "v2": 1}
    assert world.release.drain_since is None
