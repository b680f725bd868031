"""A router that refuses its weights hides why a release waits, and changes nothing about it."""

from controller.api.reasons import Reason
from controller.api.status import Blocked
from controller.api.status_format import status_to_raw
from tests.unit.rollout.language import analyze, approve, release, weight

REFUSED = Blocked(Reason.ROUTER_REFUSED, "no Gateway")


def refuse(world, times=2):
    for _ in range(times):
        world._keep(status_to_raw(world.release.blocked_by(REFUSED)))
    assert (world.release.phase, world.release.reason) == ("Waiting", "RouterRefused")


def test_what_waits_for_an_approval_can_still_be_approved(world):
    world.given(release([weight(5), approve()]).on("v2", at_step=1))
    assert world.release.reason == "AwaitingApproval"
    refuse(world)
    assert world.answer(world.ask("approve")) == "approve taken"


def test_the_step_that_waits_is_not_announced_again(world):
    world.given(release([weight(5), approve()]).on("v2", at_step=1))
    events = len(world.cluster.events)
    refuse(world)
    world.settle()
    assert (world.release.reason, world.release.blocked) == ("AwaitingApproval", None)
    assert len(world.cluster.events) == events


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


def test_a_weight_that_could_not_be_written_is_no_edit_of_another_writer(world):
    world.given(release([weight(5), approve()]).on("v2", at_step=1))
    world._keep(status_to_raw(world.release.changed(weight_pending=True).blocked_by(REFUSED)))
    world.router_took_weights = False
    world.cluster.route = {"v1": 100.0}
    world.settle()
    assert (world.traffic.canary, world.release.route_edits.at) == (5, ())
