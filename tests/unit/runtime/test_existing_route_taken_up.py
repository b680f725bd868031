"""The spec names somebody else's route where another router had the traffic, or one with the Release's own name."""

from __future__ import annotations

from asyncio import sleep

import pytest

from controller.api.resources import HTTP_ROUTES, RELEASES, TRAEFIK_SERVICES
from tests.unit.runtime.fake_api import Change, Object
from tests.unit.runtime.fault_world import SHOP, World, release, run
from tests.unit.runtime.test_existing_route import STEPS, backends, route, there_is_a_route
from tests.unit.runtime.test_router_changed import ROUTERS

NAMED: Object = {"gatewayAPI": {"route": {"name": "web"}}}
OWN: Object = {"gatewayAPI": {"route": None, "parentRefs": [{"name": "gate"}]}}
BY_ROUTE = pytest.mark.parametrize("kind", ["gatewayAPI", "traefik"])


def named_routes(world: World) -> dict[str, Object]:
    return {one["metadata"]["name"]: one for one in world.api.objects(HTTP_ROUTES.path())}


def weights_of(item: Object, world: World) -> dict[str, int]:
    """By Service, of a route of the Release's own."""
    references = item["spec"]["rules"][0]["backendRefs"]
    for one in world.api.objects(TRAEFIK_SERVICES.path()):
        references = one["spec"]["weighted"]["services"]
    return {one["name"]: one["weight"] for one in references}


def name_the_route(world: World, **route: Object) -> None:
    fields = {"parentRefs": None, "hostnames": None, "rules": None, "route": {"name": "public"}, **route}
    world.patch("web", {"spec": {"traffic": {**dict.fromkeys(ROUTERS), "gatewayAPI": fields}}})


async def serving(world: World, kind: str) -> None:
    world.create(RELEASES, release("web", *STEPS, traffic=ROUTERS[kind]))
    world.start()
    await world.until_phase("web", "Healthy")


@pytest.mark.parametrize("mid_release", [False, True])
def test_what_traefik_is_led_by_serves_until_the_named_route_is_followed(mid_release):
    async def story(world: World) -> None:
        before = there_is_a_route(world)
        await serving(world, "traefik")
        if mid_release:
            world.commit("web", 2)
            await world.until_reason("web", "AwaitingApproval")
        when: dict[str, float] = {}

        def look(change: Change) -> None:
            if change.type == "DELETED":
                when[change.collection] = world.now()

        world.api.listeners.append(look)
        name_the_route(world)
        await world.until(lambda: world.status("web").get("router") == "gatewayAPI", 120)
        handed_over = world.now()
        await world.until(lambda: "routerBeside" not in world.status("web"), 120)
        assert when[HTTP_ROUTES.path()] >= handed_over + 4
        assert when[TRAEFIK_SERVICES.path()] >= when[HTTP_ROUTES.path()], "what a route leads to goes after it"
        if mid_release:
            assert backends(world)[0] != [("web", 1)]
            world.ask("web", "approve")
        await world.until_phase("web", "Healthy", version=2 if mid_release else 1)
        await world.until(lambda: route(world) == before, 120)
        assert list(named_routes(world)) == ["public"]

    run(story)


@BY_ROUTE
@pytest.mark.parametrize("mid_release", [False, True])
@pytest.mark.parametrize("says", ["nothing", "no"])
def test_until_a_gateway_accepts_the_named_route_the_one_before_serves(kind, mid_release, says):
    async def story(world: World) -> None:
        await serving(world, kind)
        if mid_release:
            world.commit("web", 2)
            await world.until_reason("web", "AwaitingApproval")
        world.cluster.accepts = False
        before = there_is_a_route(world)
        if says == "no":
            world.cluster.accept({"namespace": SHOP, "name": "public"}, status="False", reason="NotAllowedByListeners")
        name_the_route(world)
        await world.until_reason("web", "RouteNotAccepted")
        await sleep(60)
        stable = f"web-{world.status('web')['stableRevision']}"
        assert {name for rule in backends(world) for name, _ in rule} <= {stable, "web", "search"}
        if mid_release:
            world.ask("web", "abort")
            await world.until_answered()
            await sleep(60)
            assert weights_of(named_routes(world)["web"], world) == {stable: 10_000}
        assert "web" in named_routes(world)
        world.cluster.accept({"namespace": SHOP, "name": "public"})
        await world.until(lambda: list(named_routes(world)) == ["public"], 120)
        await world.until(lambda: route(world) == before, 120)
        await world.until_phase("web", "RolledBack" if mid_release else "Healthy")

    run(story)
