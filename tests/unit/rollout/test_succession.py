"""A commit in mid-release: the new version at once, after the one under way, or each in its turn."""

import pytest

from tests.unit.rollout.language import BY_PODS, analyze, approve, release, weight
from tests.unit.rollout.world import World

STEPS = [weight(5, analyze("30s", "1m")), weight(50, analyze("30s", "1m"))]
WAITING = ("finish", "queue")


def came_out(world):
    """Versions in the order in which they began."""
    return [one.message.split()[0] for one in world.cluster.events if one.reason == "NewVersion"]


def test_restart_brings_the_new_version_out_at_once(world):
    world.given(release(STEPS).on("v2", at_step=1))
    world.commit("v3")
    assert (world.release.canary, world.traffic.of("v2"), world.release.queued) == ("v3", 0, ())


@pytest.mark.parametrize("mode", WAITING)
def test_the_one_under_way_goes_to_its_end_and_the_new_one_follows(world, mode):
    world.given(release(STEPS, on_new_version=mode).on("v2", at_step=1))
    world.commit("v3")
    world.until(lambda: world.traffic.canary == 50)
    assert (world.release.canary, world.release.step) == ("v2", 1)
    world.until(lambda: world.release.canary == "v3")
    assert (world.release.stable, world.release.step) == ("v2", 0)
    world.until(lambda: world.release.phase == "Healthy")
    assert world.release.stable == "v3"


@pytest.mark.parametrize("mode", WAITING)
def test_while_another_one_waits_the_message_and_one_event_say_so(world, mode):
    world.given(release(STEPS, on_new_version=mode).on("v2"))
    world.commit("v3")
    assert world.release.message.endswith("analyzing at 5 % for at most 60 s; v3 will follow")
    world.advance(seconds=20)
    assert world.release.message.count("v3 will follow") == 1
    told = [one.message for one in world.cluster.events if one.reason == "VersionWaits"]
    assert told == ["v3 waits until v2 is done"]


def test_finish_skips_what_was_asked_for_in_between(world):
    world.given(release(STEPS, on_new_version="finish").on("v2"))
    world.commit("v3")
    world.commit("v4")
    assert world.release.queued == ("v4",)
    world.until(lambda: world.release.phase == "Healthy")
    assert (came_out(world), world.release.stable) == (["v2", "v4"], "v4")


def test_queue_brings_out_each_in_its_order(world):
    world.given(release(STEPS, on_new_version="queue").on("v2"))
    for revision in ("v3", "v4", "v5"):
        world.commit(revision)
    assert world.release.message.endswith("; v3, then v4, then v5 will follow")
    world.until(lambda: world.release.phase == "Healthy", minutes=20)
    assert (came_out(world), world.release.stable) == (["v2", "v3", "v4", "v5"], "v5")


def test_a_version_asked_for_again_waits_once_and_last(world):
    world.given(release(STEPS, on_new_version="queue").on("v2"))
    for revision in ("v3", "v4", "v3"):
        world.commit(revision)
    assert world.release.queued == ("v4", "v3")


def test_the_queue_is_bounded_and_what_is_skipped_is_said(world):
    world.given(release(STEPS, on_new_version="queue").on("v2"))
    for number in range(3, 15):
        world.commit(f"v{number}")
    assert world.release.queued == tuple(f"v{number}" for number in range(5, 15))
    assert [one.message.split()[0] for one in world.cluster.events if one.reason == "VersionSkipped"] == ["v3", "v4"]


@pytest.mark.parametrize("mode", WAITING)
def test_a_bad_one_is_rolled_back_first(world, mode):
    world.given(release(STEPS, on_new_version=mode).on("v2"))
    world.commit("v3")
    world.regress("v2")
    world.advance(seconds=15)
    assert world.release.is_rejected("v2")
    assert (world.release.stable, world.release.canary, world.traffic.of("v2")) == ("v1", "v3", 0)
    world.until(lambda: world.release.phase == "Healthy")
    assert world.release.stable == "v3"


@pytest.mark.parametrize("mode", WAITING)
def test_an_abort_ends_it_and_the_waiting_one_begins(world, mode):
    world.given(release(STEPS, on_new_version=mode).on("v2"))
    world.commit("v3")
    world.ask("abort")
    assert (world.release.is_rejected("v2"), world.release.canary) == (True, "v3")


@pytest.mark.parametrize("mode", WAITING)
def test_the_stable_template_ends_everything_at_once(world, mode):
    world.given(release(STEPS, on_new_version=mode).on("v2", at_step=1))
    world.commit("v3")
    world.commit("v1")
    assert (world.release.canary, world.traffic.of("v2"), world.release.queued) == ("", 0, ())
    world.advance(minutes=1)
    assert (world.release.phase, world.release.stable) == ("Healthy", "v1")


@pytest.mark.parametrize("mode", WAITING)
def test_the_version_under_way_asked_for_again_ends_the_waiting(world, mode):
    world.given(release(STEPS, on_new_version=mode).on("v2"))
    world.commit("v3")
    world.commit("v2")
    assert world.release.queued == ()
    world.until(lambda: world.release.phase == "Healthy")
    assert came_out(world) == ["v2"]


@pytest.mark.parametrize("mode", WAITING)
def test_a_rejected_version_asked_for_again_is_not_waited_for(world, mode):
    world.given(release(STEPS, on_new_version=mode).on("v2"))
    world.ask("abort")
    world.commit("v3")
    world.commit("v2")
    assert (world.release.canary, world.traffic.of("v3")) == ("", 0)


def test_restart_set_in_mid_release_lets_the_newest_out_at_once(world):
    world.given(release(STEPS, on_new_version="queue").on("v2"))
    world.commit("v3")
    world.commit("v4")
    world.edit(on_new_version="restart")
    assert (world.release.canary, world.release.queued) == ("v4", ())


@pytest.mark.parametrize("mode", WAITING)
def test_an_approval_goes_to_the_version_under_way(world, mode):
    world.given(release([weight(5), approve()], on_new_version=mode).on("v2", at_step=1))
    world.commit("v3")
    assert world.answer(world.ask("approve", "v2")) == "approve taken"
    world.advance(seconds=30)
    assert world.release.stable == "v2"


def test_without_a_stable_version_nothing_is_waited_for(world):
    world.given(release(STEPS, on_new_version="finish").first())
    world.settle()
    world.commit("v2")
    assert world.release.canary == "v2"


def test_the_template_that_waits_is_kept_and_so_is_that_of_the_one_under_way(world):
    """`World` fails where a revision is made whose template lies nowhere."""
    world.given(release(STEPS, on_new_version="queue", by=BY_PODS).on("v2"))
    world.commit("v3")
    world.commit("v4")
    del world.cluster.deployments["v2"]
    world.settle()
    world.until(lambda: world.release.phase == "Healthy", minutes=20)
    assert came_out(world) == ["v2", "v3", "v4"]


@pytest.mark.parametrize("after", range(6))
def test_a_crash_while_a_version_lines_up_changes_nothing(after):
    world = World().given(release(STEPS, on_new_version="queue").on("v2"))
    world.crash_at = (world.decisions + 1, after)
    world.commit("v3")
    world.commit("v4")
    world.until(lambda: world.release.phase == "Healthy", minutes=20)
    assert came_out(world) == ["v2", "v3", "v4"]
