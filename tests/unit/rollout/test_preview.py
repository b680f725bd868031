"""Who gets at the new version before it has a weight: by a preview, or by a header."""

from controller.api import reach
from controller.rollout.steps.header import Header
from tests.unit.rollout.cluster import START_S
from tests.unit.rollout.language import PREVIEWED, approve, blue_green, pause, release, weight

HEADER = Header(reach.Header("x-canary", "always"))


def shown(world):
    return world.cluster.preview.revision


def test_a_preview_leads_to_the_new_version_while_it_serves_and_else_to_stable(world):
    world.given(blue_green(approve(), at=PREVIEWED))
    assert shown(world) == "v1"
    world.commit("v2")
    assert shown(world) == "v1"
    world.until(lambda: world.release.reason == "AwaitingApproval")
    assert (shown(world), world.traffic.canary) == ("v2", 0)
    world.unready("v2")
    world.advance(seconds=5)
    assert shown(world) == "v1"
    world.recover("v2")
    world.advance(seconds=START_S)
    assert shown(world) == "v2"
    world.ask("abort")
    assert shown(world) == "v1"
    world.advance(minutes=2)
    assert list(world.cluster.deployments) == ["v1"]


def test_a_version_that_had_a_preview_keeps_its_pods_until_the_router_has_followed(world):
    world.given(blue_green(approve(), at=PREVIEWED))
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingApproval")
    world.commit("v1")
    assert (shown(world), "v2" in world.cluster.deployments) == ("v1", True)
    world.advance(seconds=10)
    assert list(world.cluster.deployments) == ["v1"]


def test_a_preview_leads_to_the_version_that_was_promoted(world):
    world.given(blue_green(at=PREVIEWED, keep=20.0))
    world.commit("v2")
    world.until(lambda: world.release.stable == "v2")
    world.advance(minutes=1)
    assert (shown(world), world.release.previews) == ("v2", True)


def test_a_preview_that_leaves_the_spec_is_gone(world):
    world.given(blue_green(approve(), at=PREVIEWED))
    world.edit(strategy=blue_green(approve()).spec.strategy)
    assert (world.cluster.preview, world.release.previews) == (None, False)


def test_a_preview_that_the_gateway_refuses_holds_the_steps_and_no_abort(world):
    world.given(blue_green(approve(), at=PREVIEWED))
    world.preview_refused = "Gateway gateways/public does not accept the route"
    world.commit("v2")
    world.until(lambda: world.release.phase == "Waiting")
    assert world.release.reason == "RouteNotAccepted"
    assert "the preview" in world.release.message
    world.ask("abort")
    assert world.release.is_rejected("v2")


def test_a_header_step_reaches_the_canary_from_then_to_the_end_of_the_rollout(world):
    world.given(release([approve(), HEADER, pause("20s"), weight(5), approve()]))
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingApproval")
    assert world.cluster.preview is None
    world.ask("approve")
    world.until(lambda: world.release.reason == "Pausing")
    assert (shown(world), world.traffic.canary) == ("v2", 0)
    world.until(lambda: world.traffic.canary == 5)
    assert shown(world) == "v2"
    world.ask("abort")
    assert (world.cluster.preview, world.release.previews) == (None, False)


def test_deleting_leaves_no_preview_that_leads_to_an_unjudged_version(world):
    world.given(blue_green(approve(), at=PREVIEWED))
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingApproval")
    world.delete()
    assert shown(world) == "v1"


def test_a_preview_that_cannot_be_written_holds_its_steps_and_nothing_else(world):
    world.given(blue_green(approve(), at=PREVIEWED))
    world.preview_refused = "HTTPRoute shop/web-preview belongs to something else"
    world.commit("v2")
    world.advance(minutes=1)
    assert (world.release.phase, world.traffic.canary) == ("Waiting", 0)
    assert "belongs to something else" in world.release.message
