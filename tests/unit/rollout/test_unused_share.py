"""A canary that leaves its part of a queue lie: it cannot be compared, and is never called healthy."""

import pytest

from controller.rollout.failed_checks import UNUSED_CREDITS_S
from tests.unit.rollout.cluster import ONE_READY, START_S
from tests.unit.rollout.language import BY_CLAIMS, analyze, approve, release, weight
from tests.unit.rollout.test_rollout import told

STEPS = [weight(5, analyze("1m", "10m")), weight(50, analyze("1m", "10m"))]


@pytest.fixture
def shared(world):
    world.given(release(STEPS, by=BY_CLAIMS).on("v2"))
    return world


def test_credits_unused_for_a_minute_take_it_back_before_anything_else(shared):
    shared.unused_credits_s = UNUSED_CREDITS_S
    shared.settle()
    assert told(shared)[:3] == ["weights v1:100", "close regression", "finalizer off"]
    found = shared.release.last_rollback
    assert (found.revision, found.reason) == ("v2", "ShareUnused")
    assert found.message == (
        "v2 left credits of its share of 5 % unused for 60 s while stable found work. "
        "It is too slow, or has too few slots"
    )
    shared.unused_credits_s = 0.0
    shared.advance(minutes=60)
    assert (shared.release.phase, shared.release.reason, shared.traffic.canary) == ("RolledBack", "ShareUnused", 0)


def test_a_shorter_hunger_is_waited_out(shared):
    shared.unused_credits_s = UNUSED_CREDITS_S - 0.5
    shared.advance(seconds=30)
    assert (shared.release.canary, shared.traffic.canary) == ("v2", 5)


def test_neither_an_approval_nor_an_outage_of_the_metrics_is_waited_for(world):
    world.given(release([weight(5), approve()], by=BY_CLAIMS).on("v2"))
    assert world.release.reason == "AwaitingApproval"
    world.metrics.go_dark()
    world.unused_credits_s = UNUSED_CREDITS_S
    world.settle()
    assert world.release.last_rollback.reason == "ShareUnused"


def test_it_is_taken_back_also_while_the_release_is_suspended(shared):
    shared.edit(suspend=True)
    shared.unused_credits_s = UNUSED_CREDITS_S
    shared.settle()
    assert (shared.traffic.canary, shared.release.last_rollback.reason) == (0, "ShareUnused")


def test_what_one_version_left_lie_is_not_held_against_the_next(shared):
    shared.target, shared.unused_credits_s = "v3", UNUSED_CREDITS_S
    shared.reconcile()
    assert (shared.release.canary, shared.release.last_rollback) == ("v3", None)
    shared.unused_credits_s = 0.0  # its ledger begins with a new epoch
    shared.settle()
    assert shared.release.canary == "v3"


def test_pods_that_an_autoscaler_asks_for_have_their_time_to_come(world):
    world.given(release([weight(50), approve()], by=BY_CLAIMS).on("v2"))
    world.until(lambda: world.traffic.canary == 50)
    world.edit(replicas=20)
    world.unused_credits_s = UNUSED_CREDITS_S  # stable has its pods already
    world.settle()
    assert (world.release.canary, world.traffic.canary) == ("v2", 50)
    world.advance(seconds=START_S)
    assert world.release.last_rollback.reason == "ShareUnused"


def test_pods_that_do_not_come_are_not_waited_for_beyond_their_deadline(world):
    world.given(release([weight(50), approve()], by=BY_CLAIMS, deadline="5m").on("v2"))
    world.until(lambda: world.traffic.canary == 50)
    world.pods("v2", ONE_READY)
    world.edit(replicas=20)
    world.unused_credits_s = UNUSED_CREDITS_S
    world.advance(minutes=4)
    assert world.release.canary == "v2"
    world.advance(minutes=2)
    assert world.release.last_rollback.reason == "ShareUnused"


def test_whoever_promotes_in_full_has_decided(shared):
    shared.ask("promote")
    shared.unused_credits_s = UNUSED_CREDITS_S
    shared.advance(minutes=2)
    assert (shared.release.stable, shared.release.last_rollback) == ("v2", None)
