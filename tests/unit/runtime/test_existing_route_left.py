"""The spec does not name somebody else's route any longer, and the Release ends: the route is as whoever keeps it wrote
it, at whatever moment that is, and nothing leads to a version that has no pods.
"""

from __future__ import annotations

import pytest

from controller.api.names import BEFORE
from controller.api.resources import DEPLOYMENTS, HTTP_ROUTES, RELEASES, SERVICES
from tests.unit.runtime.fake_api import Change, Object
from tests.unit.runtime.fault_world import World, run
from tests.unit.runtime.test_adopting import LIMITED, adopting, all_of_it, runs_already
from tests.unit.runtime.test_existing_route import ROUTE, backends, in_mid_release, route, there_is_a_route

TRAFFIC: dict[str, Object] = {
    "a route of its own": {"gatewayAPI": {"route": None, "parentRefs": [{"name": "gate"}]}},
    "replicas": {"gatewayAPI": None, "replicas": {}},
    "queue": {"gatewayAPI": None, "queue": {"ledger": {"http": {}}}},
    "traefik": {"gatewayAPI": None, "traefik": {"parentRefs": [{"name": "gate"}]}},
}
LEFT = pytest.mark.parametrize("traffic", TRAFFIC.values(), ids=TRAFFIC)
POLICY = pytest.mark.parametrize("policy", ["Delete", "Orphan"])


def nobody_is_sent_to_nothing(world: World) -> None:
    """After each write from now on."""

    def look(change: Change) -> None:
        if change.collection not in (HTTP_ROUTES.path(), SERVICES.path(), DEPLOYMENTS.path()):
            return
        services = {one["metadata"]["name"] for one in world.api.objects(SERVICES.path())} | {"search"}
        running = {one["metadata"]["name"] for one in world.api.objects(DEPLOYMENTS.path()) if one["spec"]["replicas"]}
        for name, weight in (one for rule in backends(world) for one in rule):
            assert not weight or name in services, f"{name} is called, and is not there"
            assert not weight or name in (*running, "web", "search"), f"{name} is called, and has no pods"

    world.api.listeners.append(look)


def leave(world: World, traffic: Object) -> None:
    world.patch("web", {"spec": {"traffic": traffic}})


async def gone(world: World) -> None:
    world.delete("web")
    await world.until(lambda: not world.api.objects(RELEASES.path()))


async def baking(world: World, **spec: str) -> list[Object]:
    """The first version has the work of a Deployment, which can still have it back; what that was before."""
    runs_already(world, autoscaled=True)
    before = [there_is_a_route(world), *all_of_it(world)]
    trial = {**LIMITED, "bake": {"for": "10m", "holdback": "5%"}}
    world.create(RELEASES, adopting(**trial, **spec, traffic=ROUTE))
    world.start()
    await world.until_reason("web", "Baking")
    assert BEFORE in route(world)["metadata"]["annotations"]
    nobody_is_sent_to_nothing(world)
    return before


@LEFT
@POLICY
def test_a_release_that_is_deleted_before_a_pass_has_seen_the_change_gives_the_route_back(traffic, policy):
    async def story(world: World) -> None:
        before = there_is_a_route(world)
        await in_mid_release(world)
        world.patch("web", {"spec": {"deletionPolicy": policy}})
        await world.until(lambda: (world.status("web").get("deletionPolicy") or "Delete") == policy)
        nobody_is_sent_to_nothing(world)
        leave(world, traffic)
        await gone(world)
        assert route(world) == before

    run(story)


@LEFT
@POLICY
def test_an_adoption_that_is_deleted_before_a_pass_has_seen_the_change_gives_everything_back(traffic, policy):
    async def story(world: World) -> None:
        before = await baking(world, deletionPolicy=policy)
        leave(world, traffic)
        await gone(world)
        assert [route(world), *all_of_it(world)] == before

    run(story)


@LEFT
@pytest.mark.parametrize("end", ["abort", "delete", "orphan"])
@pytest.mark.parametrize("after", ["at once", "handed over", "left"])
def test_an_adoption_whose_router_is_changed_gives_everything_back(traffic, end, after):
    async def story(world: World) -> None:
        before = await baking(world, deletionPolicy="Orphan" if end == "orphan" else "Delete")
        leave(world, traffic)
        (kind,) = (key for key, value in traffic.items() if value is not None)
        if after != "at once":
            await world.until(lambda: world.status("web").get("router") == kind, 120)
        if after == "left":
            await world.until(lambda: route(world) == before[0], 120)
        if end == "abort":
            world.ask("web", "abort")
            await world.until_phase("web", "RolledBack")
            await world.until_answered()
        else:
            await gone(world)
        assert [route(world), *all_of_it(world)] == before
        assert [one["metadata"]["name"] for one in world.api.objects(HTTP_ROUTES.path())] == ["public"]

    run(story)


@LEFT
@pytest.mark.parametrize("after", ["at once", "handed over"])
def test_an_adoption_that_was_given_back_is_tried_again_by_the_new_router(traffic, after):
    async def story(world: World) -> None:
        before = await baking(world)
        revision = world.status("web")["canaryRevision"]
        leave(world, traffic)
        (kind,) = (key for key, value in traffic.items() if value is not None)
        if after != "at once":
            await world.until(lambda: world.status("web").get("router") == kind, 120)
        world.ask("web", "abort")
        await world.until_phase("web", "RolledBack")
        await world.until_answered()
        world.patch("web", {"metadata": {"annotations": {"pointsman.dev/retry": revision}}})
        await world.until_phase("web", "Healthy", seconds=3600)
        assert world.status("web")["router"] == kind
        assert "routerBeside" not in world.status("web")
        assert route(world) == before[0]

    run(story)
