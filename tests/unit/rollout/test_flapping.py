"""A canary that is ready now and then is neither left alone for ever nor promoted: it has to end."""

import pytest

from tests.unit.rollout.language import BY_PODS, BY_WEIGHT, analyze, approve, pause, release, weight
from tests.unit.rollout.world import World


def flaps(world: World, *, ready: float, unready: float, minutes: float) -> None:
    """Turns from ready to unready and back until it is taken back, or for so long."""
    end = world.cluster.now + minutes * 60
    while world.release.canary and world.cluster.now < end:
        world.recover("v2")
        world.advance(seconds=ready)
        world.unready("v2")
        world.advance(seconds=unready)
    world.recover("v2")
    world.advance(seconds=10)


@pytest.mark.parametrize("by", [BY_WEIGHT, BY_PODS])
@pytest.mark.parametrize(("ready", "unready"), [(1, 1), (10, 30), (60, 20)])
def test_a_canary_that_flaps_is_taken_back_after_its_progress_deadline(world, ready, unready, by):
    world.given(release([weight(50), approve()], deadline="5m", by=by).on("v2"))
    world.until(lambda: world.release.reason == "AwaitingApproval")
    began = world.cluster.now
    flaps(world, ready=ready, unready=unready, minutes=20)
    assert (world.release.phase, world.release.reason) == ("RolledBack", "ProgressDeadlineExceeded")
    assert "never steadily" in world.release.message
    assert world.release.last_rollback.at - began == pytest.approx(300, abs=ready + unready + 10)


def test_one_that_flaps_slowly_comes_to_the_end_of_its_step(world):
    world.given(release([weight(50, analyze("1m", "10m"))], deadline="5m", metrics=("errors",)).on("v2"))
    world.until(lambda: world.traffic.canary == 50)
    flaps(world, ready=200, unready=20, minutes=60)
    world.advance(minutes=3)
    assert world.release.phase in ("Healthy", "RolledBack")


def test_one_that_lost_its_pods_once_and_is_steady_has_all_its_time_again(world):
    world.given(release([weight(50), pause("1h")], deadline="5m").on("v2", at_step=1))
    for _ in range(4):
        flaps(world, ready=130, unready=60, minutes=1)
        world.advance(minutes=3)
    assert (world.release.phase, world.release.canary) == ("Progressing", "v2")


def test_the_clock_of_a_step_stands_still_while_the_canary_serves_nothing(world):
    world.given(release([weight(50), pause("10m")]).on("v2", at_step=1))
    world.advance(minutes=4)
    world.unready("v2")
    world.advance(minutes=5)
    world.recover("v2")
    world.advance(minutes=5)
    assert world.release.reason == "Pausing"
    world.advance(minutes=3)
    assert world.release.phase == "Healthy"


def test_no_room_in_between_is_not_held_against_it(world):
    world.given(release([weight(50), approve()], deadline="5m").on("v2"))
    world.until(lambda: world.release.reason == "AwaitingApproval")
    world.no_room("v2")
    world.advance(minutes=20)
    assert world.release.reason == "NoCapacity"
    world.unready("v2")
    world.advance(minutes=4)
    assert world.release.canary == "v2"
    world.recover("v2")
    world.advance(minutes=3)
    assert world.traffic.canary == 50
