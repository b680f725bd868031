"""The operator is killed at each request of a switch, before or after it is carried out: what comes out is the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from controller.api.resources import DEPLOYMENTS, EVENTS, LEASES, NAMESPACES, RELEASES
from tests.unit.runtime.fake_api import Answer
from tests.unit.runtime.fake_client import Request, Weather
from tests.unit.runtime.fault_world import World, release, run

SWITCH = {"blueGreen": {"previewReplicas": 1, "steps": [{"approve": {}}], "keepOld": "20s"}}
_NONE_OF_IT = {LEASES.path(), NAMESPACES.path(), EVENTS.path()}


@dataclass
class KilledAt(Weather):
    """At its request number `at`, and everything it has under way with it, the first operator is gone."""

    at: int
    carried_out: bool
    begun: bool = False
    asked: int = 0
    died: str = ""

    async def serve(self, request: Request, execute: Callable[[], Answer]) -> Answer:
        if request.client == "a" and self.died:
            await asyncio.Event().wait()
        if request.client == "a" and self.begun and self._counts(request):
            self.asked += 1
            if self.asked == self.at:
                self.died = str(request)
                if self.carried_out:
                    execute()
                await asyncio.Event().wait()
        return execute()

    def _counts(self, request: Request) -> bool:
        """What is read leaves nothing behind, whether it is carried out or not: before is enough."""
        return (request.is_write or not self.carried_out) and request.place.collection not in _NONE_OF_IT


def nothing_is_lost(world: World) -> None:
    """All of the work is at one version, which runs at its full size."""
    found = world.picture()
    (parts,) = found["routes"].values()
    ((serves, _),) = [part for part in parts if part[1]]
    assert found["deployments"].get(serves) == 2, found


async def next_one_leads(world: World, weather: KilledAt) -> None:
    (first,) = world.operators
    first.may_end = True
    await world.until(lambda: weather.died, 600)
    nothing_is_lost(world)
    await world.operators.pop().stop()
    world.start("b")


async def life(world: World) -> None:
    """One version is switched and kept, the next one is switched and aborted."""
    weather = world.weather
    assert isinstance(weather, KilledAt)
    world.create(RELEASES, release("web", strategy=SWITCH))
    world.start("a")
    await world.until_phase("web", "Healthy")
    weather.begun = True
    killing = asyncio.get_running_loop().create_task(next_one_leads(world, weather))
    try:
        for version in (2, 3):
            world.commit("web", version)
            await world.until_reason("web", "AwaitingApproval")
            world.ask("web", "approve")
            await world.until_reason("web", "KeepingOld")
            if version == 2:
                await world.until_phase("web", "Healthy", version=2)
        world.ask("web", "abort")
        await world.until_phase("web", "RolledBack", version=2)
        await world.until_answered()
        await world.until(lambda: len(world.api.objects(DEPLOYMENTS.path())) == 1)
        nothing_is_lost(world)
        await asyncio.sleep(5)
        if weather.died:
            await killing
    finally:
        killing.cancel()


def lives(weather: KilledAt) -> dict[str, Any]:
    return run(life, weather).picture()


@pytest.mark.parametrize("carried_out", [False, True], ids=["before", "after"])
def test_killed_at_each_request_of_a_switch_it_ends_the_same(carried_out):
    calm = KilledAt(0, carried_out)
    expected = lives(calm)
    assert calm.asked > 40
    for at in range(1, calm.asked + 1):
        weather = KilledAt(at, carried_out)
        assert lives(weather) == expected, weather.died
        assert weather.died, at
