"""A status that is gone, by hand or with a restore that left it out, takes no traffic off the version that serves."""

import pytest

from controller.api.status import Status
from controller.rollout.observation import LastRun
from controller.rollout.steps.mirror import Mirror
from tests.unit.rollout.cluster import Deployment
from tests.unit.rollout.language import BY_CLAIMS, BY_PODS, BY_WEIGHT, approve, blue_green, release, weight


@pytest.mark.parametrize("share", [20, 80])
@pytest.mark.parametrize("by", [BY_WEIGHT, BY_PODS, BY_CLAIMS], ids=str)
def test_a_canary_does_not_become_the_first_version(world, by, share):
    """Nobody had judged it, and it got all of the traffic within seconds: there was no version before it."""
    world.metrics.per_look = 100_000  # so that the errors of either are whole
    world.given(release([weight(share), approve(), weight(90), approve()], by=by))
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingApproval", minutes=2)
    before = world.traffic.of("v1")
    world.release = Status()
    for _ in range(30):
        world.advance(seconds=1)
        assert world.traffic.of("v1") >= before
    assert (world.release.stable, world.release.canary) == ("v1", "v2")
    assert [event.reason for event in world.cluster.events].count("StatusLost") == 1
    world.until(lambda: world.release.reason == "AwaitingApproval", minutes=2)
    assert world.traffic.of("v1") == before
    world.ask("approve")
    world.until(lambda: world.release.weight == 90, minutes=2)


@pytest.mark.parametrize(
    "given",
    [release([weight(5), approve()]), release([Mirror(10.0), approve()]), blue_green(Mirror(10.0), approve())],
    ids=["weight", "mirror", "mirror before a switch"],
)
def test_a_canary_is_not_trusted_where_the_spec_is_back_at_stable(world, given):
    """It got all of the work, and the stable version was rolled out against it: the finalizer was there, as after a
    switch.
    """
    world.metrics.per_look = 100_000
    world.given(given)
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingApproval", minutes=2)
    world.release, world.target = Status(), "v1"
    world.advance(minutes=2)
    assert (world.release.stable, world.cluster.weights()) == ("v1", {"v1": 100})
    assert world.cluster.preview is None
    assert not world.cluster.finalizer


def test_at_rest_it_is_as_it_was(world):
    world.given(release([weight(20), approve()]))
    world.release = Status()
    world.advance(seconds=30)
    assert (world.release.phase, world.release.stable, world.traffic.of("v1")) == ("Healthy", "v1", 100)


def test_what_was_asked_for_meanwhile_is_a_new_version(world):
    world.given(release([weight(20), approve()]))
    world.release = Status()
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingApproval", minutes=2)
    assert (world.release.stable, world.release.canary, world.traffic.of("v1")) == ("v1", "v2", 80)


BY = pytest.mark.parametrize("by", [BY_WEIGHT, BY_PODS, BY_CLAIMS], ids=str)


def switches(world, by=BY_WEIGHT):
    world.given(blue_green(approve(), by=by, keep=300.0))
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingApproval")
    world.ask("approve")
    world.until(lambda: world.traffic.of("v2") == 100)


def loses_its_status(world, target):
    world.release, world.target = Status(), target
    world.advance(seconds=1)
    return world.release.stable, world.traffic.of("v2")


@BY
@pytest.mark.parametrize("target", ["v1", "v2", "v3"])
def test_after_a_switch_the_new_version_is_not_trusted_unjudged_whatever_the_spec_asks_for(world, by, target):
    switches(world, by=by)
    assert loses_its_status(world, target) == ("v1", 0)
    world.advance(minutes=2)
    assert world.release.stable == "v1"
    assert world.release.canary == ("" if target == "v1" else target)
    assert [event.reason for event in world.cluster.events].count("StatusLost") == 1


@BY
def test_neither_is_a_canary_that_has_all_of_the_work(world, by):
    world.given(release([approve(), weight(100), approve()], by=by))
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingApproval")
    world.ask("approve")
    world.until(lambda: world.traffic.of("v2") == 100)
    assert loses_its_status(world, "v2") == ("v1", 0)


@pytest.mark.parametrize("left", ["drains", "was rejected"])
def test_of_several_the_version_is_taken_that_was_there_before_the_switch(world, left):
    switches(world)
    old = world.cluster.deployments["v1"].made_at
    other = Deployment(0, made_at=old - 600 if left == "drains" else old + 600)
    other.scale(4 if left == "drains" else 1, world.cluster.now - 600)
    world.cluster.deployments["v2"].made_at = old + 1200
    world.cluster.deployments["v0"] = other
    assert loses_its_status(world, "v2") == ("v1", 0)


def test_a_ledger_names_who_is_on_trial_where_the_finalizer_is_lost_too(world):
    switches(world, by=BY_CLAIMS)
    world.cluster.finalizer = False
    assert loses_its_status(world, "v2") == ("v1", 0)


@pytest.mark.parametrize(("promoted", "stable"), [(False, "v1"), (True, "v2")])
def test_so_does_the_record_of_the_attempt(world, promoted, stable):
    """Also where stable was made again meanwhile, and so is younger."""
    switches(world)
    world.cluster.finalizer = False
    world.cluster.deployments["v1"].made_at = world.cluster.now
    world.last_run = LastRun("v1", "v2", promoted)
    world.release = Status()
    world.advance(minutes=1)
    assert (world.release.stable, world.release.canary) == (stable, "" if promoted else "v2")


@BY
def test_a_version_that_was_promoted_keeps_the_work_while_the_old_one_drains(world, by):
    world.given(blue_green(by=by, keep=20.0))
    world.commit("v2")
    world.until(lambda: world.release.stable == "v2")
    assert "v1" in world.cluster.deployments
    world.release = Status()
    for _ in range(30):
        world.advance(seconds=1)
        assert world.traffic.of("v2") == 100
    assert world.release.stable == "v2"


@pytest.mark.parametrize("target", ["v1", "v2"])
def test_the_version_that_has_just_got_its_work_back_is_stable(world, target):
    """The finalizer goes after that, and the operator may die between."""
    switches(world)
    world.cluster.route, world.cluster.service = {"v1": 100.0}, "v1"
    assert loses_its_status(world, target)[0] == "v1"
    assert world.traffic.of("v1") == 100
