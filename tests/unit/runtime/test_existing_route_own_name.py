"""A route of somebody else's with the name that a Release's own would have."""

from __future__ import annotations

import pytest

from controller.api.resources import HTTP_ROUTES, RELEASES
from tests.unit.runtime.fake_api import Object
from tests.unit.runtime.fault_world import World, run
from tests.unit.runtime.test_adopting import as_it_was, found
from tests.unit.runtime.test_existing_route import in_mid_release, leads
from tests.unit.runtime.test_router_changed import ROUTERS, serving, switch

NAMED: Object = {"gatewayAPI": {"route": {"name": "web"}}}
OWN = pytest.mark.parametrize("kind", ["gatewayAPI", "traefik"])
TAKEN = "HTTPRoute shop/web belongs to something else. Delete or rename it, or rename the Release."
MADE = "HTTPRoute shop/web is made by Pointsman for Release web. Name another one in spec.traffic.gatewayAPI.route."


def there_is_a_route(world: World) -> Object:
    spec = {"parentRefs": [{"name": "gate"}], "hostnames": ["shop.example.com"], "rules": [leads()]}
    world.create(HTTP_ROUTES, {"metadata": {"name": "web", "annotations": {"team": "a"}}, "spec": spec})
    return route(world)


def route(world: World) -> Object:
    return {key: value for key, value in as_it_was(found(world, HTTP_ROUTES, "web")).items() if key != "status"}


def name_it(world: World) -> None:
    fields = {"parentRefs": None, "hostnames": None, "rules": None, "route": {"name": "web"}}
    world.patch("web", {"spec": {"traffic": {**dict.fromkeys(ROUTERS), "gatewayAPI": fields}}})


def want_an_own_one(world: World, kind: str) -> None:
    switch(world, kind)
    if kind == "gatewayAPI":
        world.patch("web", {"spec": {"traffic": {kind: {"route": None}}}})


async def gone(world: World) -> None:
    world.delete("web")
    await world.until(lambda: not world.api.objects(RELEASES.path()))


@pytest.mark.parametrize("end", ["approve", "abort", "delete"])
def test_it_is_split_and_given_back_like_any_other(end):
    async def story(world: World) -> None:
        before = there_is_a_route(world)
        await in_mid_release(world, NAMED)
        assert route(world) != before
        if end == "delete":
            await gone(world)
        else:
            world.ask("web", end)
            await world.until_answered()
            await world.until(lambda: route(world) == before, 120)
            await world.until_phase("web", "Healthy" if end == "approve" else "RolledBack")
        assert route(world) == before

    run(story)


@OWN
def test_the_releases_own_one_is_refused_and_goes_on_serving(kind):
    async def story(world: World) -> None:
        await serving(world, kind)
        before = route(world)
        name_it(world)
        await world.until_reason("web", "RouteTaken")
        assert world.status("web")["message"] == MADE
        assert route(world) == before
        want_an_own_one(world, kind)
        await world.until_phase("web", "Healthy")
        assert route(world) == before

    run(story)


@OWN
@pytest.mark.parametrize("at_once", [False, True])
def test_it_keeps_the_release_from_making_one_and_is_given_back(kind, at_once):
    async def story(world: World) -> None:
        before = there_is_a_route(world)
        await in_mid_release(world, NAMED)
        want_an_own_one(world, kind)
        if not at_once:
            await world.until_reason("web", "RouteTaken")
            assert world.status("web")["message"] == TAKEN
            name_it(world)
            await world.until_reason("web", "AwaitingApproval")
            want_an_own_one(world, kind)
            await world.until_reason("web", "RouteTaken")
        await gone(world)
        assert route(world) == before

    run(story)
