"""What watches lose, double, or tell in the wrong order is found all the same, within five minutes."""

import asyncio
import itertools

import pytest

from controller.api.names import RELEASE_LABEL
from controller.api.resources import (
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    HTTP_ROUTES,
    LEASES,
    RELEASE_ACTIONS,
    RELEASES,
    SERVICES,
    Resource,
)
from controller.runtime.reachability import NETWORK_S
from tests.beside import beside
from tests.unit.runtime.fake_api import Object
from tests.unit.runtime.fault_world import SHOP, World, release, run
from tests.unit.runtime.test_faults_of_requests import MOST_A_MINUTE, fair, short_life, spins
from tests.unit.runtime.weathers import ConfusedEvents, DroppedEvents

FOUND_WITHIN_S = 310.0

LOST = {
    "children": (DEPLOYMENTS.path(), ENDPOINT_SLICES.path(), SERVICES.path(), HTTP_ROUTES.path()),
    "Releases": (RELEASES.path(),),
    "ReleaseActions": (RELEASE_ACTIONS.path(),),
    "everything": None,
}


@pytest.mark.parametrize("what", LOST)
def test_lost_events_are_made_up_for(what):
    async def story(world: World) -> None:
        operator = await _healthy(world)
        world.weather = DroppedEvents(LOST[what])
        world.commit("web", 2)
        # the change itself, and then the pods, may each have to be found by a list
        await world.until(lambda: world.status("web").get("reason") == "AwaitingApproval", 2 * FOUND_WITHIN_S)
        world.ask("web", "approve")
        await world.until_phase("web", "Healthy", version=2, seconds=4 * FOUND_WITHIN_S)
        await world.until_answered()
        assert spins(operator) <= MOST_A_MINUTE

    run(story)


@pytest.mark.parametrize("resource", [HTTP_ROUTES, SERVICES, DEPLOYMENTS], ids=lambda resource: resource.kind)
def test_what_was_changed_by_hand_unseen_is_put_back(resource):
    async def story(world: World) -> None:
        await _healthy(world)
        await asyncio.sleep(20)
        before = world.picture()
        world.weather = DroppedEvents()
        name = f"web-{world.status('web')['stableRevision']}" if resource is DEPLOYMENTS else "web"
        found = world.api.handle("GET", resource.path(SHOP, name), {}, None).body
        by_hand: dict[Resource, Object] = {
            HTTP_ROUTES: {"rules": [{"backendRefs": [{"name": "web-other", "weight": 10_000}]}]},
            SERVICES: {"selector": {"app": "other"}},
            DEPLOYMENTS: {"replicas": 1},
        }
        changed = {**found, "spec": {**found["spec"], **by_hand[resource]}}
        assert world.api.handle("PUT", resource.path(SHOP, name), {}, changed).status == 200
        assert world.picture() != before
        await world.until(lambda: _serving(world) == _serving_of(before), FOUND_WITHIN_S)

    run(story)


def test_doubled_and_reordered_events_end_the_same():
    world = run(short_life, ConfusedEvents())
    assert world.picture() == fair(short_life)
    assert spins(world.operators[0]) <= MOST_A_MINUTE


def test_a_history_that_is_forgotten_again_and_again_ends_the_same():
    async def story(world: World) -> None:
        async def forget() -> None:
            while True:
                await asyncio.sleep(3)
                world.api.compact()

        async with asyncio.TaskGroup() as group:
            forgetting = group.create_task(forget())
            await short_life(world)
            forgetting.cancel()

    world = run(story)
    assert world.picture() == fair(short_life)
    watched = [moment for moment, request, _ in world.operators[0].kube.log if _watches(request)]
    assert 6 < len(watched) < 2 * watched[-1], "it begins again at each 410, and not without a pause"


def test_ten_thousand_events_a_second_on_unrelated_objects_cost_no_request_and_no_time():
    a_tick_s, a_tick = 0.01, 100

    async def noise(world: World) -> None:
        """Children of no Release there is, as after an uninstallation, and Services that are not Pointsman's."""
        stranger: Object = {"name": "stranger", "namespace": "elsewhere", "labels": {RELEASE_LABEL: "stranger"}}
        unlabelled: Object = {"name": "unlabelled", "namespace": "elsewhere"}
        for turn in itertools.count():
            for number in range(a_tick):
                metadata = stranger if number % 2 else unlabelled
                changed = {"metadata": metadata, "endpoints": [turn, number]}
                path = ENDPOINT_SLICES.path("elsewhere", metadata["name"])
                assert world.api.handle("PUT" if turn or number > 1 else "POST", path, {}, changed).status < 300
            await asyncio.sleep(a_tick_s)

    async def story(world: World) -> None:
        operator = await _healthy(world)
        await asyncio.sleep(20)
        began, quiet = asyncio.get_running_loop().time(), len(operator.kube.log)
        async with beside(noise(world)):
            await asyncio.sleep(0.3)
            assert [str(request) for _, request, _ in operator.kube.log[quiet:] if not _leads(request)] == []
            world.commit("web", 2)
            await world.until_reason("web", "AwaitingApproval")
        assert asyncio.get_running_loop().time() - began < 5 + NETWORK_S
        assert spins(operator) <= MOST_A_MINUTE

    run(story)


async def _healthy(world: World):
    world.create(RELEASES, release("web", {"weight": 20}, {"approve": {}}, {"weight": 50}))
    operator = world.start()
    await world.until_phase("web", "Healthy")
    return operator


def _leads(request) -> bool:
    return bool(request.place.collection == LEASES.path())


def _watches(request) -> bool:
    """Of all namespaces, which nothing but the watch asks for: its lists, and the watch itself."""
    return request.place.collection == DEPLOYMENTS.path() and request.place.namespace is None


def _serving(world: World):
    return _serving_of(world.picture())


def _serving_of(picture):
    return {name: picture[name] for name in ("deployments", "services", "routes")}
