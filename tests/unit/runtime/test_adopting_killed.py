"""The operator is killed at each write of an adoption, and of giving it back: what comes out is the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from controller.api.resources import DEPLOYMENTS, RELEASES, SERVICES
from tests.unit.runtime.fake_api import Answer
from tests.unit.runtime.fake_client import Request
from tests.unit.runtime.fault_world import World, run
from tests.unit.runtime.test_adopting import (
    LIMITED,
    SELECTOR,
    TRAFFIC,
    adopting,
    all_of_it,
    found,
    runs_already,
)
from tests.unit.runtime.test_switch_killed import KilledAt


class KilledAtWrite(KilledAt):
    async def serve(self, request: Request, execute: Callable[[], Answer]) -> Answer:
        return await super().serve(request, execute) if self.died or request.is_write else execute()


def somebody_serves(world: World) -> None:
    """Service NAME selects the Deployment with all of its pods, or a version with as many that are ready."""
    selector = found(world, SERVICES, "web")["spec"]["selector"]
    if selector == SELECTOR:
        assert found(world, DEPLOYMENTS, "old-web")["spec"]["replicas"] == 3
    else:
        revision = selector["pointsman.dev/revision"]
        assert found(world, DEPLOYMENTS, f"web-{revision}")["status"]["readyReplicas"] >= 2


async def next_one_leads(world: World, weather: KilledAt) -> None:
    (first,) = world.operators
    first.may_end = True
    await world.until(lambda: weather.died, 900)
    somebody_serves(world)
    await world.operators.pop().stop()
    world.start("b")


async def life(world: World, traffic: dict[str, Any]) -> None:
    """It is taken over, aborted, and taken over again."""
    weather = world.weather
    assert isinstance(weather, KilledAtWrite)
    runs_already(world, autoscaled=True)
    before = all_of_it(world)
    world.create(RELEASES, adopting(**LIMITED, traffic=traffic))
    weather.begun = True
    world.start("a")
    killing = asyncio.get_running_loop().create_task(next_one_leads(world, weather))
    try:
        await world.until_reason("web", "Baking")
        revision = world.status("web")["canaryRevision"]
        world.ask("web", "abort")
        await world.until_phase("web", "RolledBack")
        await world.until_answered()
        assert all_of_it(world) == before
        world.patch("web", {"metadata": {"annotations": {"pointsman.dev/retry": revision}}})
        await world.until_phase("web", "Healthy")
        somebody_serves(world)
        await asyncio.sleep(5)
        if weather.died:
            await killing
    finally:
        killing.cancel()


def lives(weather: KilledAt, traffic: dict[str, Any]) -> dict[str, Any]:
    async def story(world: World) -> None:
        await life(world, traffic)

    # a run that nobody had looked at yet may end without its verdict
    return {name: part for name, part in run(story, weather).picture().items() if name != "verdicts"}


@pytest.mark.parametrize(
    ("carried_out", "traffic"), [(False, TRAFFIC["gatewayAPI"]), (True, TRAFFIC["replicas"])], ids=["before", "after"]
)
def test_killed_at_each_write_of_an_adoption_it_ends_the_same(carried_out, traffic):
    calm = KilledAtWrite(0, carried_out)
    expected = lives(calm, traffic)
    assert calm.asked > 20
    # the other half of the writes is met by the other case
    for at in range(2 if carried_out else 1, calm.asked + 1, 2):
        weather = KilledAtWrite(at, carried_out)
        assert lives(weather, traffic) == expected, weather.died
