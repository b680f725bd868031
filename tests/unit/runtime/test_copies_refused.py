"""Copies of ConfigMaps that cannot be deleted for a while: each time counts from its own beginning."""

from __future__ import annotations

import asyncio

from controller.api.resources import CONFIG_MAPS, EVENTS
from tests.unit.runtime.configured import ask, at_canary, config_map, copies, healthy, reads_of_all
from tests.unit.runtime.fake_client import Request, Weather
from tests.unit.runtime.fault_world import World, run
from tests.unit.runtime.weathers import Always

REFUSED_S = 10.0
"""Less than the time after which copies are left behind."""


def deletes_copies(request: Request) -> bool:
    return request.method == "DELETE" and request.place.collection == CONFIG_MAPS.path()


def refused(world: World) -> object:
    operator = world.operators[0].operator
    assert operator is not None
    return operator.reconciler.config_maps._refused


async def aborted_while_refused(world: World) -> tuple[str, str]:
    """Stable, and a version that leaves and whose copies cannot be deleted."""
    stable = await healthy(world)
    config_map(world, {"tone": "second"})
    canary = await at_canary(world)
    world.weather = Always(503, deletes_copies)
    ask(world, "abort", name="first-abort")
    await world.until(lambda: refused(world))
    await asyncio.sleep(REFUSED_S)
    return stable, canary


def left(world: World) -> bool:
    return "CopiesLeft" in {one["reason"] for one in world.api.objects(EVENTS.path())}


def test_a_version_that_was_wanted_again_waits_for_its_copies_as_long_as_any():
    """Its deletion was refused an hour ago, and the first refusal of today left its copies behind."""

    async def story(world: World) -> None:
        stable, canary = await aborted_while_refused(world)
        ask(world, "retry", revision=canary)
        await at_canary(world)
        world.weather = Weather()
        await asyncio.sleep(3600)
        world.weather = Always(503, deletes_copies)
        ask(world, "abort", name="second-abort")
        await world.until(lambda: refused(world) or left(world))
        await asyncio.sleep(REFUSED_S)
        world.weather = Weather()
        await world.until(lambda: list(reads_of_all(world)) == [stable])
        assert list(copies(world)) == [f"{stable} prompts"]
        assert not left(world)
        assert not refused(world)

    run(story)


def test_nothing_is_kept_of_a_release_that_is_gone():
    async def story(world: World) -> None:
        await aborted_while_refused(world)
        world.delete("web")
        await world.until(lambda: not copies(world))
        await asyncio.sleep(5)
        assert not refused(world)

    run(story)
