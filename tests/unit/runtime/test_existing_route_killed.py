"""The operator is killed at each write to a route that somebody else keeps: what comes out is the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from controller.api.resources import HTTP_ROUTES, RELEASES
from tests.unit.runtime.fake_api import Answer
from tests.unit.runtime.fake_client import Request
from tests.unit.runtime.fault_world import World, run
from tests.unit.runtime.test_adopting import LIMITED, adopting, all_of_it, runs_already
from tests.unit.runtime.test_adopting_killed import KilledAtWrite, somebody_serves
from tests.unit.runtime.test_existing_route import ROUTE, STEPS, backends, route, there_is_a_route


class KilledAtRoute(KilledAtWrite):
    async def serve(self, request: Request, execute: Callable[[], Answer]) -> Answer:
        is_of_route = request.place.collection == HTTP_ROUTES.path()
        return await super().serve(request, execute) if self.died or is_of_route else execute()


def somebody_answers(world: World) -> None:
    """All rules that lead to the Service lead to versions that run, or to the Service and whom it selects."""
    somebody_serves(world)
    running = world.picture()["deployments"]
    for name, weight in (one for rule in backends(world) for one in rule):
        assert name in ("web", "search") or not weight or running[name] > 0


async def next_one_leads(world: World, weather: KilledAtRoute) -> None:
    (first,) = world.operators
    first.may_end = True
    await world.until(lambda: weather.died, 900)
    somebody_answers(world)
    await world.operators.pop().stop()
    world.start("b")


async def life(world: World) -> None:
    """Adopted, aborted, adopted again; then a version is rolled out, and the next one is deleted with the Release."""
    weather = world.weather
    assert isinstance(weather, KilledAtRoute)
    runs_already(world)
    before = there_is_a_route(world)
    others = all_of_it(world)
    trial = {**LIMITED, "deletionPolicy": "Orphan", "strategy": {"canary": {"steps": list(STEPS)}}}
    world.create(RELEASES, adopting(**trial, traffic=ROUTE))
    weather.begun = True
    world.start("a")
    killing = asyncio.get_running_loop().create_task(next_one_leads(world, weather))
    try:
        await world.until_reason("web", "Baking")
        revision = world.status("web")["canaryRevision"]
        world.ask("web", "abort")
        await world.until_phase("web", "RolledBack")
        await world.until_answered()
        assert [route(world), *all_of_it(world)] == [before, *others]
        world.patch("web", {"metadata": {"annotations": {"pointsman.dev/retry": revision}}})
        await world.until_phase("web", "Healthy")
        world.commit("web", 2)
        await world.until_reason("web", "AwaitingApproval")
        world.ask("web", "approve")
        await world.until_phase("web", "Healthy", version=2)
        await world.until(lambda: route(world) == before, 120)
        somebody_answers(world)
        world.commit("web", 3)
        await world.until(lambda: route(world) != before)
        world.delete("web")
        await world.until(lambda: not world.api.objects(RELEASES.path()))
        assert route(world) == before
        somebody_answers(world)
        if weather.died:
            await killing
    finally:
        killing.cancel()


async def life_with_another_router(world: World) -> None:
    """Adopted, led to by another router, and aborted before the first one is left."""
    weather = world.weather
    assert isinstance(weather, KilledAtRoute)
    runs_already(world)
    before = [there_is_a_route(world), *all_of_it(world)]
    world.create(RELEASES, adopting(**{**LIMITED, "bake": {"for": "10m", "holdback": "5%"}}, traffic=ROUTE))
    weather.begun = True
    world.start("a")
    killing = asyncio.get_running_loop().create_task(next_one_leads(world, weather))
    try:
        await world.until_reason("web", "Baking")
        world.patch("web", {"spec": {"traffic": {"gatewayAPI": None, "traefik": {"parentRefs": [{"name": "gate"}]}}}})
        await world.until(lambda: world.status("web").get("router") == "traefik", 300)
        world.ask("web", "abort")
        await world.until_phase("web", "RolledBack")
        await world.until_answered()
        assert [route(world), *all_of_it(world)] == before
        assert len(world.api.objects(HTTP_ROUTES.path())) == 1
        if weather.died:
            await killing
    finally:
        killing.cancel()


@pytest.mark.parametrize("carried_out", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("story", "writes"), [(life, 8), (life_with_another_router, 4)])
def test_killed_at_each_write_the_route_ends_as_it_was(story, writes, carried_out):
    calm = KilledAtRoute(0, carried_out)
    run(story, calm)
    assert calm.asked > writes
    for at in range(1, calm.asked + 1):
        run(story, KilledAtRoute(at, carried_out))
