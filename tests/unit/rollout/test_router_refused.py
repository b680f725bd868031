"""A router that does not take what it is told hides why a release waits, and changes nothing about it."""

from controller.api.status import refused_by_router, status_to_raw
from tests.unit.rollout.language import analyze, approve, release, weight


def refuse(world, times=2):
    for _ in range(times):
        world._keep(status_to_raw(refused_by_router(world.release, "no Gateway")))
    assert (world.release.phase, world.release.reason) == ("Waiting", "RouterRefused")


def test_what_waits_for_an_approval_can_still_be_approved(world):
    world.given(release([weight(5), approve()]).on("v2", at_step=1))
    assert world.release.reason == "AwaitingApproval"
    refuse(world)
    assert world.answer(world.ask("approve")) == "approve taken"


def test_the_step_that_waits_is_not_told_of_again(world):
    world.given(release([weight(5), approve()]).on("v2", at_step=1))
    told = len(world.cluster.events)
    refuse(world)
    world.settle()
    assert (world.release.reason, world.release.behind) == ("AwaitingApproval", "")
    assert len(world.cluster.events) == told


def test_a_version_that_had_no_room_keeps_its_time_to_start(world):
    world.given(release([weight(5, analyze("30s", "1m"))], deadline="1m"))
    world.no_room("v2")
    world.commit("v2")
    world.advance(minutes=10)
    assert world.release.reason == "NoCapacity"
    refuse(world)
    world.unready("v2")
    world.advance(seconds=50)
    assert world.release.canary == "v2", "its deadline begins when there is room"
    world.advance(seconds=20)
    assert world.release.last_rollback.reason == "ProgressDeadlineExceeded"
