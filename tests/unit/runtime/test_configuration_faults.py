"""Whatever becomes of the requests for ConfigMaps, a Release ends where it would have ended, with the same copies."""

from __future__ import annotations

import asyncio
from functools import cache, partial
from typing import Any

import pytest

from controller.api.resources import CONFIG_MAPS, CONTROLLER_REVISIONS, DEPLOYMENTS, EVENTS, RELEASES, SERVICES
from tests.unit.runtime.configured import ask, config_map, configured, copies, delete, found, reads_of_all
from tests.unit.runtime.fake_api import Object
from tests.unit.runtime.fake_client import Request
from tests.unit.runtime.fault_world import World, release, run
from tests.unit.runtime.test_faults_of_requests import ALL_FAULTS, MOST_A_MINUTE, faults, spins
from tests.unit.runtime.weathers import Always, InTurn, Random

STEPS: tuple[Object, ...] = ({"weight": 20}, {"approve": {}}, {"weight": 50})
CONCERNED = {CONFIG_MAPS.path(), CONTROLLER_REVISIONS.path(), DEPLOYMENTS.path(), SERVICES.path()}


async def life(world: World, *, swept: bool = True) -> None:
    """A first deployment, an edit that is promoted, a copy that somebody deletes, and an edit that is rejected."""
    config_map(world, {"tone": "polite"})
    world.create(RELEASES, release("web", *STEPS, template=configured()))
    world.start()
    await world.until_phase("web", "Healthy")
    first = world.status("web")["stableRevision"]
    config_map(world, {"tone": "second"})
    await world.until_reason("web", "AwaitingApproval")
    second = world.status("web")["canaryRevision"]
    copy = f"web-{second}-prompts"
    if found(world, copy):
        delete(world, copy)
    await world.until(lambda: found(world, copy))
    ask(world, "approve", name="approve")
    await world.until(lambda: world.status("web").get("stableRevision") == second)
    await world.until(lambda: world.status("web")["phase"] == "Healthy")
    config_map(world, {"tone": "third"})
    await world.until_reason("web", "AwaitingApproval")
    ask(world, "abort", name="abort")
    await world.until_phase("web", "RolledBack")
    await world.until_answered()
    await world.until(lambda: list(reads_of_all(world)) == [second])
    if swept:
        await world.until(lambda: list(copies(world)) == [f"{second} prompts"])
    assert first != second
    await asyncio.sleep(5)


def ended(world: World) -> tuple[dict[str, Any], dict[str, Any]]:
    running = reads_of_all(world)
    return world.picture(), {one: data for one, data in copies(world).items() if one.split()[0] in running}


@cache
def fair() -> tuple[dict[str, Any], dict[str, Any]]:
    return ended(run(life))


@faults(*ALL_FAULTS)
def test_a_fifth_of_all_requests_badly_answered_for_minutes_ends_the_same(fault):
    world = run(life, Random(fault, 0.2, retry_after=1 if fault == 429 else None))
    assert ended(world) == fair()
    assert spins(world.operators[0]) <= MOST_A_MINUTE


@pytest.mark.parametrize("writes", [True, False], ids=["writes", "reads"])
@faults(403, *ALL_FAULTS)
def test_each_request_for_what_a_version_is_made_of_badly_answered_in_turn_ends_the_same(fault, writes):
    def meant(request: Request) -> bool:
        return request.place.collection in CONCERNED and request.is_write == writes

    had, hit, again = set[str](), set[str](), True
    while again:
        weather = InTurn((fault,), 3 if writes else 12, meant, had)  # a pass must be able to come to its end
        # copies that may not be deleted now are left to the next version that leaves
        world = run(partial(life, swept=fault != 403), weather)
        assert ended(world) == fair(), weather.hit
        assert spins(world.operators[0]) <= MOST_A_MINUTE
        again = bool(weather.hit)
        hit |= {one.split(maxsplit=1)[1].split("/")[0] for one in weather.hit}
    wanted = {"POST configmaps", "DELETE configmaps"} if writes else {"GET configmaps"}
    assert hit >= wanted


@pytest.mark.parametrize("fault", [403, 422, 503])
def test_copies_that_can_never_be_deleted_keep_no_version_from_leaving(fault):
    """An admission that denied it, or did not answer, kept a version's pods for as long as it did."""

    def meant(request: Request) -> bool:
        return request.method == "DELETE" and request.place.collection.endswith("/configmaps")

    world = run(partial(life, swept=False), Always(fault, meant))
    assert ended(world) == fair()
    assert "CopiesLeft" in {one["reason"] for one in world.api.objects(EVENTS.path())}
