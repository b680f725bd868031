"""What goes wrong around a switch: a node that is lost, a strategy that changes, a gate that takes back its word."""

from dataclasses import replace

import pytest

from controller.rollout.effect import Answered
from controller.rollout.steps.webhook import Webhook
from tests.unit.rollout.cluster import START_S
from tests.unit.rollout.language import BY_CLAIMS, BY_PODS, BY_WEIGHT, approve, blue_green, release, weight
from tests.unit.rollout.test_blue_green import switched
from tests.unit.rollout.test_rollout import told

ROUTERS = pytest.mark.parametrize("by", [BY_WEIGHT, BY_PODS, BY_CLAIMS])
GATE = Webhook("http://gate.qa/check")


def lose_node(world, revision, pods):
    """So many of its pods go, and others are made in their place elsewhere."""
    world.cluster.deployments[revision].started[:pods] = [world.cluster.now] * pods
    world.settle()


def change_strategy(world, given):
    spec = given.spec
    world.edit(strategy=spec.strategy, strategy_kind=spec.strategy_kind, steps=spec.steps)


# -- the old version lost a node while it was kept warm ----------------------------------------------------------------


@ROUTERS
def test_a_kept_version_that_lost_a_node_takes_the_work_back_at_once_with_what_is_left(world, by):
    switched(world, by=by)
    lose_node(world, "v1", 2)
    assert world.traffic.canary == 100
    world.crash_loop("v2")
    assert told(world)[0] == "weights v1:100"
    assert (world.traffic.of("v1"), world.cluster.service) == (100, "v1")
    world.advance(seconds=START_S)
    assert world.cluster.states()["v1"].serving == 4


@ROUTERS
def test_a_kept_version_that_lost_all_its_pods_holds_no_switch_up_and_has_them_again(world, by):
    switched(world, keep=60.0, by=by)
    lose_node(world, "v1", 4)
    world.advance(seconds=5)
    assert (world.traffic.canary, world.cluster.service) == (100, "v2")
    assert "0 of 4" in world.release.message
    world.until(lambda: world.release.stable == "v2")
    world.advance(minutes=2)
    assert (world.release.phase, list(world.cluster.deployments)) == ("Healthy", ["v2"])


@pytest.mark.parametrize("pods", [2, 4])
def test_a_regression_found_while_the_kept_version_lost_a_node_switches_back(world, pods):
    switched(world)
    world.regress("v2", 0.05)
    lose_node(world, "v1", pods)
    world.until(lambda: world.release.is_rejected("v2"), minutes=5)
    world.advance(seconds=START_S + 5)
    assert (world.traffic.of("v1"), world.cluster.service) == (100, "v1")
    assert world.cluster.states()["v1"].serving == 4


# -- the strategy changes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", [BY_WEIGHT, BY_CLAIMS])
def test_there_and_back_at_rest_changes_nothing_and_each_brings_its_version_out(world, by):
    canary, switch = release([weight(5), approve()], by=by), blue_green(approve(), keep=20.0, by=by)
    world.given(canary)
    change_strategy(world, switch)
    change_strategy(world, canary)
    world.advance(minutes=1)
    assert told(world) == []
    for revision, given, before in (("v2", switch, 0), ("v3", canary, 5)):
        change_strategy(world, given)
        world.commit(revision)
        world.until(lambda: world.release.reason == "AwaitingApproval")
        assert world.traffic.canary == before
        world.ask("approve")
        world.until(lambda revision=revision: world.release.stable == revision)
        world.advance(minutes=6)
        assert list(world.cluster.deployments) == [revision]


def test_from_blue_green_to_canary_in_its_preview_starts_at_a_small_share(world):
    world.given(blue_green(approve()))
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingApproval")
    change_strategy(world, release([weight(5), approve()]))
    assert world.traffic.canary <= 5
    world.until(lambda: world.release.reason == "AwaitingApproval" and world.traffic.canary > 0)
    assert (world.traffic.canary, world.release.canary, world.cluster.service) == (5, "v2", "v1")


def test_an_approval_of_a_preview_is_none_of_the_canary_that_comes_in_its_place(world):
    world.given(blue_green(approve()))
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingApproval")
    given = release([weight(5), approve()]).spec
    world.spec = replace(world.spec, strategy=given.strategy, strategy_kind="canary", steps=given.steps)
    world.ask("approve")
    world.advance(minutes=5)
    assert (world.traffic.canary, world.release.reason) == (5, "AwaitingApproval")


# -- other fields change in mid-switch ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("keep", "seconds"), [(20.0, 60), (300.0, 360)], ids=["shorter", "longer"])
def test_the_time_in_which_the_old_version_is_kept_can_be_edited_after_the_switch(world, keep, seconds):
    switched(world, keep=120.0)
    world.edit(strategy=blue_green(keep=keep).spec.strategy, steps=blue_green(keep=keep).spec.steps)
    world.advance(seconds=keep - 15)
    assert (world.release.reason, world.traffic.canary) == ("KeepingOld", 100)
    world.advance(seconds=seconds - keep + 15)
    assert world.release.stable == "v2"
    assert not [one for one in told(world) if one.startswith("weights v1")]


@ROUTERS
def test_a_preview_that_is_made_smaller_takes_no_pod_of_a_version_that_was_switched(world, by):
    switched(world, keep=60.0, by=by)
    world.edit(strategy=blue_green(preview=1, keep=60.0).spec.strategy)
    world.advance(seconds=20)
    assert (world.cluster.states()["v2"].serving, world.traffic.canary) == (4, 100)


@ROUTERS
def test_one_that_is_made_smaller_while_it_grows_for_its_switch_has_all_its_pods_before_it(world, by):
    world.given(blue_green(approve(), preview=2, by=by))
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingApproval")
    world.ask("approve")
    given = blue_green(approve(), preview=1, by=by).spec
    world.edit(strategy=given.strategy, steps=given.steps)
    assert world.traffic.canary == 0
    world.until(lambda: world.traffic.canary > 0)
    assert (world.cluster.states()["v2"].serving, world.traffic.canary) == (4, 100)


# -- a gate that lies --------------------------------------------------------------------------------------------------


def say(world, gate, result):
    world.effects = {gate.effect.id: Answered({"result": result, "message": ""})}
    world.settle()


@pytest.fixture
def asked(world):
    world.given(blue_green(GATE, approve()))
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingWebhook")
    return world


def test_a_yes_that_becomes_a_no_is_heard_once(asked):
    (gate,) = asked.release.owed
    say(asked, gate, "yes")
    assert asked.release.reason == "AwaitingApproval"
    for result in ("no", "yes", "no"):
        say(asked, gate, result)
    assert (asked.release.canary, asked.release.step, asked.traffic.canary) == ("v2", 1, 0)
    assert not asked.release.rejected


def test_a_no_that_becomes_a_yes_brings_nothing_back(asked):
    (gate,) = asked.release.owed
    say(asked, gate, "no")
    assert asked.release.is_rejected("v2")
    for result in ("yes", "no", "yes"):
        say(asked, gate, result)
    asked.advance(minutes=2)
    assert (asked.release.phase, asked.release.canary, asked.traffic.of("v1")) == ("RolledBack", "", 100)
    assert list(asked.cluster.deployments) == ["v1"]
