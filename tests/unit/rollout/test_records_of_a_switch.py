"""Each side of a switch has its record, whatever is edited, and in which order: `World` holds that at each look."""

import itertools
from dataclasses import replace

import pytest

from tests.unit.rollout.language import approve, blue_green
from tests.unit.rollout.test_judged_without_work import copies
from tests.unit.rollout.world import World

JUDGED = blue_green(copies(10.0), approve(), keep=120.0)
SHORT = blue_green(keep=120.0)


def edit(world, given):
    world.edit(strategy=given.spec.strategy, steps=given.spec.steps)


def switched(world, given):
    world.given(given)
    world.commit("v2")
    _pass(world)


def _pass(world):
    for _ in range(60):
        if world.traffic.canary == 100 or not world.release.canary:
            return
        if world.release.reason == "AwaitingApproval":
            world.ask("approve")
        world.advance(seconds=5)


def taken_back(world):
    world.unready("v2")
    assert world.traffic.stable == 100


@pytest.mark.parametrize("before", [SHORT, JUDGED], ids=["no preview was judged", "one was"])
def test_judged_steps_that_come_while_the_work_is_back_at_stable_begin_an_attempt_of_their_own(world, before):
    switched(world, before)
    first = world.release.run
    taken_back(world)
    edit(world, blue_green(copies(20.0), approve(), approve(), keep=60.0))
    assert (world.release.attempts, world.release.step, world.release.run) == (2, 0, "")
    world.recover("v2")
    world.until(lambda: world.release.copied == 20)
    world.advance(seconds=30)
    assert world.release.run.endswith("-2-preview")
    assert not [look for look in world.attempts[first].looks if look.copied]
    _pass(world)
    assert world.traffic.canary == 100
    assert any("analysis of its own" in event.message for event in world.cluster.events)


def test_an_abort_that_comes_with_such_an_edit_is_heard(world):
    switched(world, SHORT)
    taken_back(world)
    given = blue_green(copies(20.0), approve()).spec
    world.spec = replace(world.spec, strategy=given.strategy, steps=given.steps)
    world.ask("abort")
    assert (world.release.canary, world.release.rejected[0].revision) == ("", "v2")


def test_steps_that_come_while_it_is_suspended_begin_it_anew_too(world):
    switched(world, SHORT)
    taken_back(world)
    world.edit(suspend=True)
    edit(world, JUDGED)
    world.edit(suspend=False)
    world.recover("v2")
    world.until(lambda: world.release.copied == 10)
    assert (world.release.attempts, world.release.step) == (2, 0)


def test_steps_that_come_while_it_has_the_work_leave_it_where_it_is(world):
    switched(world, SHORT)
    edit(world, JUDGED)
    taken_back(world)
    world.advance(seconds=20)
    world.recover("v2")
    world.until(lambda: world.traffic.canary == 100)
    assert (world.release.attempts, world.release.copied) == (1, 0)


HAPPENINGS = {
    "judged steps": lambda world: edit(world, JUDGED),
    "no steps": lambda world: edit(world, SHORT),
    "pods lost": lambda world: world.unready("v2"),
    "pods back": lambda world: world.recover("v2"),
    "suspended": lambda world: world.edit(suspend=not world.spec.suspend),
    "approved": lambda world: world.ask("approve"),
}


@pytest.mark.parametrize("before", [SHORT, JUDGED], ids=["no preview was judged", "one was"])
@pytest.mark.parametrize("at", ["preview", "switch"])
def test_any_order_of_edits_and_faults_ends_with_each_look_in_its_record(before, at):
    for order in itertools.permutations(HAPPENINGS, 2):
        world = World()
        world.given(before)
        world.commit("v2")
        world.advance(seconds=30)
        if at == "switch":
            _pass(world)
        for name in order:
            HAPPENINGS[name](world)
            world.advance(seconds=15)
        world.edit(suspend=False)
        world.recover("v2")
        _pass(world)
        assert world.traffic.canary == 100, order
        world.advance(seconds=10)
