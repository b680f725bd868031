"""spec.traffic names another router: stable is handed over first, and nothing of the old one is left."""

from __future__ import annotations

import pytest

from controller.api.resources import HTTP_ROUTES, RELEASES, SERVICES, TRAEFIK_SERVICES
from tests.unit.runtime.fake_api import Change, Object
from tests.unit.runtime.fake_client import Weather
from tests.unit.runtime.fault_world import SHOP, World, release, run
from tests.unit.runtime.weathers import trouble

STEPS: tuple[Object, ...] = ({"weight": 50}, {"approve": {}})
ROUTERS: dict[str, Object] = {
    "gatewayAPI": {"gatewayAPI": {"parentRefs": [{"name": "public"}], "hostnames": ["web.localhost"]}},
    "replicas": {"replicas": {}},
    "queue": {"queue": {"ledger": {"http": {}}}},
    "traefik": {"traefik": {"parentRefs": [{"name": "public"}], "hostnames": ["web.localhost"]}},
}
BY_ROUTE = ("gatewayAPI", "traefik")
CHANGES = [(old, new) for old in ROUTERS for new in ROUTERS if old != new]
CHANGED = pytest.mark.parametrize(("old", "new"), CHANGES, ids=lambda kind: kind)


def switch(world: World, new: str) -> None:
    traffic: Object = {**dict.fromkeys(ROUTERS), **ROUTERS[new]}
    world.patch("web", {"spec": {"traffic": traffic}})


async def serving(world: World, kind: str) -> None:
    world.create(RELEASES, release("web", *STEPS, traffic=ROUTERS[kind]))
    world.start()
    await world.until_phase("web", "Healthy")


async def handed_over(world: World, new: str) -> None:
    await world.until(lambda: world.status("web").get("router") == new and "routerBeside" not in world.status("web"))


def route_is_there(world: World) -> bool:
    return world.api.handle("GET", HTTP_ROUTES.path(SHOP, "web"), {}, None).status == 200


def traefik_service(world: World) -> Object | None:
    return next(iter(world.api.objects(TRAEFIK_SERVICES.path())), None)


def backends(world: World, reference: Object) -> list[str]:
    """Services behind what a route refers to."""
    if reference.get("kind", "Service") == "Service":
        return [reference["name"]]
    found = traefik_service(world)
    assert found is not None, "the TraefikService that a route refers to is there"
    return [one["name"] for one in found["spec"]["weighted"]["services"]]


def weights_of(world: World) -> dict[str, int]:
    """By Service, of the route as it leads now; empty where there is none."""
    for route in world.api.objects(HTTP_ROUTES.path()):
        references = route["spec"]["rules"][0]["backendRefs"]
        found = traefik_service(world)
        if found is not None and references[0].get("kind") == "TraefikService":
            references = found["spec"]["weighted"]["services"]
        return {one["name"]: one["weight"] for one in references}
    return {}


def somebody_always_serves(world: World) -> None:
    """Whoever is called sends to a version that has a Service: from now on, after each write."""

    def look(change: Change) -> None:
        services = {item["metadata"]["name"] for item in world.api.objects(SERVICES.path())}
        for route in world.api.objects(HTTP_ROUTES.path()):
            for backend in route["spec"]["rules"][0]["backendRefs"]:
                for name in backends(world, backend):
                    assert name in services, f"{name} is called, and is not there"
        assert "web" in services

    world.api.listeners.append(look)


@CHANGED
def test_a_router_changed_at_rest_hands_over_and_the_next_promotion_goes_its_way(old, new):
    async def story(world):
        await serving(world, old)
        somebody_always_serves(world)
        switch(world, new)
        await handed_over(world, new)
        assert route_is_there(world) == (new in BY_ROUTE)
        await world.until_phase("web", "Healthy")
        world.commit("web", 2)
        await world.until(lambda: world.status("web").get("weight") == 50)
        world.ask("web", "approve")
        await world.until_phase("web", "Healthy", version=2)
        assert route_is_there(world) == (new in BY_ROUTE)
        (operator,) = world.operators
        ledgers = operator.operator.allocators
        assert (ledgers.place_of("shop/web") is not None) == (new == "queue")

    run(story)


@CHANGED
def test_a_router_changed_in_mid_release_takes_the_canary_along_and_a_rollback_moves_it(old, new):
    async def story(world):
        await serving(world, old)
        stable = world.status("web")["stableRevision"]
        world.commit("web", 2)
        await world.until_reason("web", "AwaitingApproval")
        canary = world.status("web")["canaryRevision"]
        somebody_always_serves(world)
        switch(world, new)
        await handed_over(world, new)
        await world.until_reason("web", "AwaitingApproval")
        status = world.status("web")
        assert (status["canaryRevision"], status["weight"], status["attempt"]) == (canary, 50, 1)
        world.ask("web", "abort")
        await world.until_phase("web", "RolledBack")
        service = world.api.handle("GET", SERVICES.path(SHOP, "web"), {}, None).body
        assert service["spec"]["selector"]["pointsman.dev/revision"] == stable
        assert weights_of(world) == ({f"web-{stable}": 10_000} if new in BY_ROUTE else {})
        assert route_is_there(world) == (new in BY_ROUTE)
        assert (traefik_service(world) is not None) == (new == "traefik")

    run(story)


@CHANGED
def test_whoever_changes_the_router_back_at_once_finds_nothing_of_the_other(old, new):
    async def story(world):
        await serving(world, old)
        before = world.picture()
        switch(world, new)
        await world.until(lambda: world.status("web").get("routerBeside"))
        switch(world, old)
        await handed_over(world, old)
        await world.until_phase("web", "Healthy")
        assert world.picture()["routes"] == before["routes"]
        assert world.picture()["services"] == before["services"]

    run(story)


class Refusing(Weather):
    """No HTTPRoute is taken."""

    async def serve(self, request, execute):
        if request.is_write and request.place.collection == HTTP_ROUTES.path():
            return await trouble(503, execute)
        return execute()


def test_a_new_router_that_cannot_serve_leaves_the_old_one_in_place():
    weather = Refusing()

    async def story(world):
        await serving(world, "replicas")
        world.commit("web", 2)
        await world.until_reason("web", "AwaitingApproval")
        canary = world.status("web")["canaryRevision"]
        switch(world, "gatewayAPI")
        await world.until_reason("web", "PassFailed")
        status = world.status("web")
        assert (status["router"], status["weight"], status["canaryRevision"]) == ("replicas", 0, canary)
        world.weather = Weather()
        await handed_over(world, "gatewayAPI")

    run(story, weather)


def test_a_gateway_that_does_not_accept_the_route_is_given_no_traffic():
    async def story(world):
        world.cluster.accepts = False
        await serving(world, "replicas")
        switch(world, "gatewayAPI")
        await world.until_reason("web", "RouteNotAccepted")
        end = world.now() + 60
        await world.until(lambda: world.now() >= end)
        assert world.status("web")["router"] == "replicas"
        world.cluster.accept({"namespace": SHOP, "name": "web"})
        await handed_over(world, "gatewayAPI")

    run(story)


def test_a_policy_that_changes_during_a_hand_over_holds_for_both_routers():
    """The new route kept its owner, and went with the Release that was to leave it."""

    async def story(world):
        world.cluster.accepts = False
        await serving(world, "replicas")
        switch(world, "gatewayAPI")
        await world.until_reason("web", "RouteNotAccepted")

        def owners():
            (route,) = world.api.objects(HTTP_ROUTES.path())
            return route["metadata"].get("ownerReferences")

        assert owners()
        world.patch("web", {"spec": {"deletionPolicy": "Orphan"}})
        await world.until(lambda: not owners(), 30)

    run(story)
