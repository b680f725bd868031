"""The steps are changed while one of them is under way: no step counts as done because it went from the spec."""

from dataclasses import replace

from controller.api.status_format import status_to_raw
from controller.rollout.decide import withdraw
from tests.unit.rollout.language import analyze, approve, pause, release, weight
from tests.unit.rollout.world import World

LONG = [weight(5), pause("10m"), weight(25), pause("10m")]


def at_the_third(world: World) -> World:
    world.given(release(LONG).on("v2", at_step=1))
    world.until(lambda: world.release.step == 3)
    return world


def shorten(world: World) -> None:
    world.edit(steps=(weight(5), pause("1h")))


def test_steps_shortened_below_the_one_under_way_promote_nothing(world):
    at_the_third(world)
    shorten(world)
    assert (world.release.phase, world.release.step, world.traffic.canary) == ("Progressing", 1, 5)
    world.advance(minutes=59)
    assert world.release.canary == "v2"
    world.advance(minutes=3)
    assert (world.release.phase, world.release.stable) == ("Healthy", "v2")


def test_the_step_that_is_entered_again_has_its_whole_time(world):
    at_the_third(world)
    world.edit(steps=(weight(5, analyze("1m", "5m")),))
    world.advance(minutes=4)
    assert (world.release.reason, world.release.step) == ("Analyzing", 0)


def test_steps_shortened_while_suspended_promote_nothing_afterwards(world):
    at_the_third(world)
    world.edit(suspend=True)
    shorten(world)
    world.edit(suspend=False)
    assert (world.release.step, world.traffic.canary) == (1, 5)


def test_steps_that_come_back_shorter_after_an_invalid_spec_promote_nothing(world):
    at_the_third(world)
    readable = replace(world.observe(), spec=replace(world.spec, steps=()))
    withdrawn = withdraw(readable, world.cluster.now, "cannot be meant").status
    world._write(withdrawn, status_to_raw(withdrawn))
    world.cluster.route = {"v1": 100.0}
    shorten(world)
    assert (world.release.step, world.traffic.canary) == (1, 5)


def test_an_approval_of_a_step_that_went_approves_nothing_else(world):
    world.given(release([weight(5), pause("1s"), weight(25), approve()]).on("v2"))
    world.until(lambda: world.release.reason == "AwaitingApproval")
    world.edit(steps=(weight(5), approve()))
    world.advance(minutes=5)
    assert world.release.reason == "AwaitingApproval"
    world.ask("approve")
    world.advance(minutes=3)
    assert world.release.phase == "Healthy"


def test_steps_shortened_when_all_are_done_do_not_hold_the_promotion(world):
    world.given(release([weight(5), pause("1s"), weight(10), pause("1s")], metrics=()).on("v2"))
    world.until(lambda: world.release.phase == "Promoting")
    world.edit(steps=(weight(5), pause("1h")))
    world.until(lambda: world.release.phase == "Healthy", minutes=5)


def test_template_steps_and_replicas_changed_at_once_start_at_step_one(world):
    at_the_third(world)
    world.target = "v3"
    world.edit(steps=(weight(10), pause("1m")), replicas=7)
    assert (world.release.canary, world.release.step, world.release.attempts) == ("v3", 0, 2)
    assert world.traffic.of("v2") == 0
    world.advance(minutes=3)
    assert (world.release.phase, world.release.stable) == ("Healthy", "v3")
    assert world.cluster.deployments["v3"].wanted == 7
