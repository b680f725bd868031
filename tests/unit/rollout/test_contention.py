"""Somebody else writes the route again and again: no war of writes, no more weight, and it ends when they stop."""

import pytest

from controller.rollout.contention import AGAIN_S, MOST, WINDOW_S
from tests.unit.rollout.language import BY_PODS, analyze, approve, pause, release, weight
from tests.unit.rollout.world import World

ROBOTS = {"v1": 40.0, "v2": 60.0}


def fights(world: World, seconds: float, route: dict[str, float] | None = ROBOTS) -> int:
    """A robot writes the route every second; how often it was put back."""
    before = len(put_back(world))
    for _ in range(round(seconds)):
        world.cluster.route = None if route is None else dict(route)
        world.settle()
        world.advance(seconds=1)
    return len(put_back(world)) - before


def put_back(world: World) -> list[str]:
    return [line for line in world.log if line.startswith("weights")]


def at_five(world: World) -> World:
    world.given(release([weight(5), pause("5m"), weight(50), approve()]).on("v2", at_step=1))
    world.log.clear()
    return world


def test_a_robot_is_met_five_times_and_then_every_half_minute(world):
    at_five(world)
    assert fights(world, MOST) == MOST
    assert (world.release.phase, world.release.reason) == ("Waiting", "RouteContended")
    assert fights(world, 300) <= 300 / AGAIN_S + 1


def test_the_sentence_names_who_wrote_and_the_way_out(world):
    at_five(world)
    fights(world, 10)
    assert "'robot'" in world.release.message
    assert "pointsman.dev/manual" in world.release.message


def test_no_weight_rises_while_it_lasts_and_the_clock_goes_on_where_it_stood(world):
    at_five(world)
    fights(world, 400)
    assert (world.release.step, world.release.weight) == (1, 5)
    world.cluster.route = dict(world.cluster.written or {})
    world.until(lambda: world.release.reason == "Pausing", minutes=2)
    assert world.traffic.canary == 5
    world.advance(minutes=4)
    assert world.release.step == 1
    world.until(lambda: world.release.reason == "AwaitingApproval", minutes=2)
    assert world.traffic.canary == 50


def test_a_bad_canary_loses_its_work_at_once_all_the_same(world):
    at_five(world)
    fights(world, 10)
    world.crash_loop("v2")
    assert world.log[-1] != ""
    assert world.traffic.of("v1") == 100
    assert world.release.is_rejected("v2")


def test_a_version_the_robot_sends_work_to_keeps_its_pods(world):
    at_five(world)
    fights(world, 10)
    world.commit("v1")
    fights(world, 25)
    assert "v2" in world.cluster.deployments
    world.advance(minutes=2)
    assert (world.release.phase, set(world.cluster.deployments)) == ("Healthy", {"v1"})


@pytest.mark.parametrize("route", [None, {"v9": 100.0}])
def test_at_rest_it_is_said_and_it_is_over_a_minute_after_the_robot_stopped(world, route):
    world.given(release())
    assert fights(world, 120, route) <= MOST + 120 / AGAIN_S
    assert (world.release.phase, world.release.reason) == ("Waiting", "RouteContended")
    world.advance(seconds=AGAIN_S + WINDOW_S + 5)
    assert world.release.phase == "Healthy"
    assert world.traffic.stable == 100


def test_what_a_person_edits_now_and_then_is_put_back_at_once(world):
    at_five(world)
    for _ in range(20):
        world.cluster.route = dict(ROBOTS)
        world.settle()
        assert world.traffic.canary == 5
        world.advance(seconds=20)
        assert world.release.reason != "RouteContended"


def test_a_rejected_version_stays_rejected_in_words_too(world):
    at_five(world)
    world.ask("abort")
    world.advance(seconds=10)
    fights(world, 10)
    assert (world.release.phase, world.release.reason) == ("RolledBack", "Aborted")
    assert "another writer keeps changing the route" in world.release.message


def test_the_route_in_hand_of_a_person_is_not_put_back_at_all(world):
    at_five(world)
    fights(world, 10)
    world.manual_until = world.cluster.now + 600
    world.settle()
    assert fights(world, 300) == 0
    assert world.release.reason == "Manual"


def test_it_survives_a_restart(world):
    at_five(world)
    fights(world, 10)
    world.restart()
    assert fights(world, 15) == 0


def test_by_pods_service_name_is_not_fought_over_either(world):
    world.given(release([weight(50), pause("10m")], by=BY_PODS).on("v2", at_step=1))
    world.log.clear()
    for _ in range(120):
        world.cluster.service = "v2"
        world.settle()
        world.advance(seconds=1)
    assert len(put_back(world)) <= MOST + 120 / AGAIN_S
    assert world.release.reason == "RouteContended"


def test_a_release_that_is_judged_meanwhile_is_still_convicted(world):
    world.given(release([weight(50, analyze("1m", "10m"))]).on("v2"))
    world.until(lambda: world.traffic.canary == 50)
    world.regress("v2")
    fights(world, 40)
    assert world.release.is_rejected("v2")
