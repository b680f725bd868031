"""A preview in the fault world: what is in its place is named, nothing waits for it, and what is over is not said."""

from __future__ import annotations

import pytest

from controller.api.resources import HTTP_ROUTES, RELEASE_ACTIONS, RELEASES
from tests.unit.runtime.fake_api import Object
from tests.unit.runtime.fault_world import SHOP, World, release, run

FOREIGN: Object = {
    "metadata": {"name": "web-preview", "namespace": SHOP, "labels": {"app": "web"}},
    "spec": {"rules": [{"backendRefs": [{"name": "x", "port": 9, "weight": 1}]}]},
}
TAKEN = "HTTPRoute shop/web-preview belongs to something else"


PREVIEWED: Object = {"preview": {"hostnames": ["preview.localhost"]}, "steps": [{"approve": {}}]}


def said(world: World) -> str:
    return str(world.status("web").get("message", ""))


@pytest.mark.parametrize("leaves", ["the spec asks for none", "the foreign route goes"])
def test_a_foreign_route_in_a_previews_place_is_named_as_long_as_it_matters(leaves):
    async def story(world: World) -> None:
        world.create(HTTP_ROUTES, FOREIGN)
        world.create(RELEASES, release("web", strategy={"blueGreen": PREVIEWED}))
        world.start()
        await world.until_phase("web", "Healthy")
        await world.until(lambda: TAKEN in said(world))
        if leaves == "the spec asks for none":
            world.patch("web", {"spec": {"strategy": {"blueGreen": {"preview": None}}}})
        else:
            world.api.handle("DELETE", HTTP_ROUTES.path(SHOP, "web-preview"), {}, None)
        await world.until(lambda: TAKEN not in said(world), 120)
        world.commit("web", 2)
        await world.until(lambda: world.status("web").get("reason") == "AwaitingApproval")
        assert TAKEN not in said(world)

    run(story)


def test_an_abort_is_answered_beside_a_foreign_route_in_the_previews_place():
    async def story(world: World) -> None:
        world.create(HTTP_ROUTES, FOREIGN)
        world.create(RELEASES, release("web", strategy={"blueGreen": PREVIEWED}))
        world.start()
        await world.until_phase("web", "Healthy")
        world.commit("web", 2)
        await world.until(lambda: world.status("web").get("reason") == "RouteNotAccepted")
        world.ask("web", "abort")
        await world.until(lambda: world.api.objects(RELEASE_ACTIONS.path())[0].get("status", {}).get("result"), 60)
        await world.until(lambda: world.status("web").get("phase") == "RolledBack", 60)
        found = world.api.handle("GET", HTTP_ROUTES.path(SHOP, "web-preview"), {}, None).body
        assert found["metadata"]["labels"] == {"app": "web"}

    run(story)
