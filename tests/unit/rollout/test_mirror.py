"""Step `mirror`: the canary gets copies of requests while it has no work."""

from controller.rollout.actions import SetPreview
from controller.rollout.steps.mirror import Mirror
from tests.unit.rollout.cluster import START_S
from tests.unit.rollout.language import approve, blue_green, pause, release, weight

MIRROR = Mirror(10.0)


def copies(world):
    """Whom, and how many percent."""
    preview = world.cluster.preview
    return None if preview is None else (preview.revision, preview.reach.mirror)


def until_mirrored(world, *steps):
    world.given(release([MIRROR, *steps]))
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingApproval")


def test_the_canary_gets_copies_until_it_has_work(world):
    until_mirrored(world, approve(), weight(5), approve())
    assert (copies(world), world.traffic.canary) == (("v2", 10), 0)
    world.ask("approve")
    world.until(lambda: world.traffic.canary == 5)
    world.advance(seconds=1)
    assert copies(world) is None


def test_the_share_of_the_copies_can_grow(world):
    until_mirrored(world, approve(), Mirror(50.0), approve())
    world.ask("approve")
    world.until(lambda: copies(world) == ("v2", 50))


def test_copies_reach_a_new_version_before_its_switch_and_end_with_it(world):
    world.given(blue_green(MIRROR, approve(), keep=60.0))
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingApproval")
    assert copies(world) == ("v2", 10)
    world.ask("approve")
    world.until(lambda: world.traffic.canary == 100)
    world.advance(seconds=1)
    assert copies(world) is None


def test_stable_never_gets_copies_of_what_it_answers(world):
    until_mirrored(world, approve())
    world.unready("v2")
    world.advance(seconds=5)
    assert copies(world) is None
    world.recover("v2")
    world.advance(seconds=START_S)
    assert copies(world) == ("v2", 10)


def test_an_abort_ends_the_copies_before_the_pods_go(world):
    """The cluster of these tests refuses to retire a version that still gets copies."""
    until_mirrored(world, approve())
    world.ask("abort")
    assert (copies(world), "v2" in world.cluster.deployments) == (None, True)
    world.advance(minutes=2)
    assert list(world.cluster.deployments) == ["v1"]


def test_a_version_that_gets_copies_stays_while_the_router_cannot_end_them(world):
    """Traefik refuses everybody while a version that it mirrors to has no Service."""
    until_mirrored(world, approve())
    world.broken = SetPreview
    world.ask("abort")
    world.advance(minutes=2)
    assert (copies(world), "v2" in world.cluster.deployments) == (("v2", 10), True)
    world.broken = ""
    world.advance(minutes=2)
    assert (copies(world), list(world.cluster.deployments)) == (None, ["v1"])


def test_deleting_leaves_no_copies(world):
    """A Release without a finalizer is gone before anybody can end them, and with Orphan its route stays."""
    until_mirrored(world, approve())
    assert world.cluster.finalizer
    world.delete()
    assert copies(world) is None
    assert world.cluster.gone


def test_the_finalizer_goes_with_the_last_copy(world):
    until_mirrored(world, approve())
    world.broken = SetPreview
    world.ask("abort")
    world.advance(seconds=30)
    assert world.cluster.finalizer
    world.broken = ""
    world.advance(minutes=2)
    assert (copies(world), world.cluster.finalizer) == (None, False)


def test_a_mirror_that_is_refused_holds_the_steps(world):
    world.given(release([MIRROR, pause("1s")]))
    world.preview_refused = "Gateway gateways/public does not accept the route"
    world.commit("v2")
    world.until(lambda: world.release.phase == "Waiting")
    assert "the mirror: Gateway gateways/public" in world.release.message


def test_a_version_stays_until_the_router_has_heard_of_the_end_of_its_copies(world):
    """Its Service went in the moment after the mirror was written away: a router may learn of the two in either order,
    and Traefik refuses everybody while it knows the mirror and not the Service.
    """
    until_mirrored(world, approve())
    world.broken = SetPreview
    world.ask("abort")
    world.advance(minutes=2)
    world.broken = ""
    world.settle()
    assert (copies(world), "v2" in world.cluster.deployments) == (None, True)
    world.advance(minutes=1)
    assert list(world.cluster.deployments) == ["v1"]


def test_a_version_whose_pods_ended_its_copies_stays_until_the_router_has_heard_of_it(world):
    until_mirrored(world, approve())
    world.unready("v2")
    assert copies(world) is None
    world.cluster.now += 1
    world.keeps_evidence = True
    world.ask("abort")
    world.learn()
    world.settle()
    assert "v2" in world.cluster.deployments
    world.advance(minutes=1)
    assert list(world.cluster.deployments) == ["v1"]


UNSUPPORTED = "spec.strategy.canary.steps[0]: GatewayClass able does not support HTTPRouteRequestMirror"


def test_a_cluster_that_cannot_copy_makes_the_release_invalid_and_begins_nothing(world):
    world.given(release([MIRROR, approve()]))
    world.unsupported = UNSUPPORTED
    world.commit("v2")
    world.advance(minutes=1)
    assert (world.release.phase, world.release.message) == ("Invalid", UNSUPPORTED)
    assert list(world.cluster.deployments) == ["v1"]
    world.unsupported = ""
    world.until(lambda: world.release.reason == "AwaitingApproval")
    assert copies(world) == ("v2", 10)


def test_a_class_that_changes_its_mind_ends_the_copies_and_keeps_the_version(world):
    until_mirrored(world, approve())
    world.unsupported = UNSUPPORTED
    world.advance(minutes=30)
    assert (world.release.phase, copies(world), world.release.rejected) == ("Invalid", None, ())
    assert "v2" in world.cluster.deployments
    world.unsupported = ""
    world.until(lambda: world.release.reason == "AwaitingApproval")
    assert copies(world) == ("v2", 10)


def test_a_version_that_has_work_needs_no_copies_any_more(world):
    until_mirrored(world, approve(), weight(5), approve())
    world.ask("approve")
    world.until(lambda: world.traffic.canary == 5)
    world.unsupported = UNSUPPORTED
    world.advance(minutes=5)
    assert (world.release.phase, world.traffic.canary) == ("Paused", 5)


def test_an_abort_is_answered_while_the_cluster_cannot_copy(world):
    until_mirrored(world, approve())
    world.unsupported = UNSUPPORTED
    world.advance(minutes=1)
    world.ask("abort")
    world.advance(minutes=2)
    assert (world.release.phase, list(world.cluster.deployments)) == ("RolledBack", ["v1"])


def test_a_class_that_cannot_be_read_holds_the_steps_and_keeps_the_copies(world):
    until_mirrored(world, approve())
    world.preview_refused = "GatewayClass able of Gateway shop/public does not exist"
    world.advance(minutes=1)
    assert (world.release.phase, copies(world)) == ("Waiting", ("v2", 10))
    assert "the mirror: GatewayClass able of Gateway shop/public does not exist" in world.release.message


def test_suspended_it_still_gets_copies_as_the_message_says_and_none_once_the_step_is_taken_out(world):
    until_mirrored(world, approve(), weight(5))
    world.edit(suspend=True)
    world.advance(minutes=1)
    assert copies(world) == ("v2", 10)
    assert world.release.message.endswith("v2 still gets copies of 10 % of the requests, unwatched")
    world.edit(steps=(approve(), weight(5)))
    assert copies(world) is None
    assert world.release.message == "spec.suspend is true: steps and analysis stand still"
