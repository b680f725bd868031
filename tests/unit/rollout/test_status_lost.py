"""A status that is gone, by hand or with a restore that left it out, takes no traffic off the version that serves."""

import pytest

from controller.api.status import Status
from controller.rollout.steps.mirror import Mirror
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
