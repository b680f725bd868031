"""A route that no request follows is said, in the Gateway's own words, and no version is called healthy by it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from controller.api.resources import EVENTS, HTTP_ROUTES, RELEASES
from tests.unit.runtime.fake_api import Object
from tests.unit.runtime.fault_world import SHOP, World, release, run

SECONDS = 20.0
REFUSED = {"status": "False", "reason": "NotAllowedByListeners", "message": "no listener allows namespace shop"}
WORDS = "Gateway shop/public does not accept the route (NotAllowedByListeners: no listener allows namespace shop)"
STEPS: tuple[Object, ...] = ({"weight": 20}, {"pause": {"for": "5s"}}, {"weight": 50}, {"approve": {}})


def metadata(name: str = "web") -> Object:
    return {"namespace": SHOP, "name": name}


def message(world: World, name: str = "web") -> str:
    return str(world.status(name)["message"])


def events(world: World) -> list[str]:
    return [one["reason"] for one in world.api.objects(EVENTS.path())]


def test_a_gateway_that_is_not_there_is_said_and_its_answer_ends_it():
    async def story(world: World) -> None:
        world.cluster.accepts = False
        world.create(RELEASES, release("web"))
        world.start()
        await world.until_reason("web", "RouteNotAccepted", SECONDS)
        assert "Gateway shop/public has not said" in message(world)
        assert world.status("web")["phase"] == "Waiting"
        assert events(world).count("RouteNotAccepted") == 1
        world.cluster.accept(metadata())
        await world.until_phase("web", "Healthy", 1, SECONDS)

    run(story)


def test_a_gateway_that_refuses_the_route_is_quoted():
    async def story(world: World) -> None:
        world.create(RELEASES, release("web"))
        world.start()
        await world.until_phase("web", "Healthy", 1)
        world.cluster.accept(metadata(), **REFUSED)
        await world.until_reason("web", "RouteNotAccepted", SECONDS)
        assert message(world) == WORDS
        world.cluster.accept(metadata())
        await world.until_phase("web", "Healthy", 1, SECONDS)

    run(story)


def test_no_weight_rises_meanwhile_and_an_abort_is_obeyed():
    async def story(world: World) -> None:
        world.create(RELEASES, release("web", *STEPS))
        world.start()
        await world.until_phase("web", "Healthy", 1)
        world.commit("web", 2)
        await world.until(lambda: world.status("web").get("weight") == 20)
        world.cluster.accept(metadata(), **REFUSED)
        await world.until_reason("web", "RouteNotAccepted", SECONDS)
        end = world.now() + 60
        await world.until(lambda: world.now() >= end)
        assert (world.status("web")["weight"], message(world)) == (20, WORDS)
        world.ask("web", "abort")
        await world.until_phase("web", "RolledBack", seconds=SECONDS)

    run(story)


def another_host(one: Object) -> None:
    one["spec"]["traffic"]["gatewayAPI"]["hostnames"] = ["other.localhost"]


def another_path(one: Object) -> None:
    matches = [{"path": {"type": "PathPrefix", "value": "/api"}}]
    one["spec"]["traffic"]["gatewayAPI"]["rules"] = [{"matches": matches}]


def another_gateway(one: Object) -> None:
    one["spec"]["traffic"]["gatewayAPI"]["parentRefs"] = [{"name": "internal"}]


async def two(world: World, change: Callable[[Object], None] | None = None) -> None:
    """`web` and, two seconds later, `shop` with the same host name."""
    world.create(RELEASES, release("web"))
    world.start()
    await world.until_phase("web", "Healthy", 1)
    end = world.now() + 2
    await world.until(lambda: world.now() >= end)
    later = release("shop")
    later["spec"]["traffic"]["gatewayAPI"]["hostnames"] = ["web.localhost"]
    if change is not None:
        change(later)
    world.create(RELEASES, later)


def test_the_younger_of_two_routes_for_one_host_name_is_said_with_both_names():
    """Both were Healthy, one without traffic."""

    async def story(world: World) -> None:
        await two(world)
        await world.until_reason("shop", "RouteNotAccepted", SECONDS)
        said = "HTTPRoutes shop/web and shop/shop ask the same Gateway for the same host name and path"
        assert message(world, "shop").startswith(said)
        assert world.status("web")["phase"] == "Healthy"
        world.patch("shop", {"spec": {"traffic": {"gatewayAPI": {"hostnames": ["shop.localhost"]}}}})
        await world.until_phase("shop", "Healthy", 1, SECONDS)

    run(story)


@pytest.mark.parametrize("left", ["deleted", "another host name", "another operator"])
def test_the_younger_one_is_looked_at_again_when_the_older_one_leaves(left):
    async def story(world: World) -> None:
        await two(world)
        await world.until_reason("shop", "RouteNotAccepted", SECONDS)
        if left == "another operator":
            for running in world.operators:
                await running.stop()
            world.operators.clear()
            world.start("b")
            end = world.now() + SECONDS
            await world.until(lambda: world.now() >= end)
            assert world.status("shop")["reason"] == "RouteNotAccepted"
        if left == "another host name":
            world.patch("web", {"spec": {"traffic": {"gatewayAPI": {"hostnames": ["older.localhost"]}}}})
        else:
            world.delete("web")
        await world.until_phase("shop", "Healthy", 1, SECONDS)

    run(story)


@pytest.mark.parametrize("change", [another_host, another_path, another_gateway])
def test_routes_for_other_requests_are_no_rivals(change):
    async def story(world: World) -> None:
        await two(world, change)
        await world.until_phase("shop", "Healthy", 1, SECONDS)
        end = world.now() + 30
        await world.until(lambda: world.now() >= end)
        assert world.status("shop")["phase"] == "Healthy"
        assert len(world.api.objects(HTTP_ROUTES.path())) == 2

    run(story)


def test_two_previews_for_one_host_name_are_said():
    """The younger one led to the older Release's new version, and its steps went on."""

    def previewed(name: str) -> Object:
        body = release(name)
        body["spec"]["strategy"] = {
            "blueGreen": {"preview": {"hostnames": ["preview.localhost"]}, "steps": [{"approve": {}}], "keepOld": "10s"}
        }
        return body

    async def story(world: World) -> None:
        world.create(RELEASES, previewed("web"))
        world.start()
        await world.until_phase("web", "Healthy", 1)
        end = world.now() + 2
        await world.until(lambda: world.now() >= end)
        world.create(RELEASES, previewed("shop"))
        said = "HTTPRoutes shop/web-preview and shop/shop-preview ask the same Gateway"
        await world.until(lambda: said in world.status("shop").get("message", ""), SECONDS)
        assert said not in message(world, "web")
        world.delete("web")
        await world.until(lambda: said not in message(world, "shop"), SECONDS)

    run(story)


def test_a_release_that_is_gone_leaves_no_host_name_in_the_memory():
    async def story(world: World) -> None:
        await two(world)
        await world.until_reason("shop", "RouteNotAccepted", SECONDS)
        hosts = world.operators[0].operator.reconciler.hosts  # type: ignore[union-attr]
        assert len(hosts._known) == len(hosts._of_releases) == 2
        for name in ("web", "shop"):
            world.delete(name)
        await world.until(lambda: not world.api.objects(RELEASES.path()), SECONDS)
        await world.until(lambda: not hosts._known, SECONDS)
        assert not hosts._requests
        assert not hosts._of_releases

    run(story)
