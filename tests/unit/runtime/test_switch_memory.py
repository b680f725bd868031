"""Two hundred switches in a row with a whole operator: nothing is left over, in the cluster or in its memory."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from types import FunctionType, ModuleType
from typing import Any

from controller.api.resources import ANALYSIS_RUNS, DEPLOYMENTS, RELEASES, SERVICES
from controller.kube import events
from controller.kube.client import KubeClient
from tests.unit.runtime.fake_api import FakeApi
from tests.unit.runtime.fault_world import RunningOperator, World, release, run

SWITCHES = 200
WARM = 60
"""Switches after which everything that is bounded has come to its bound."""
_OTHERS = (World, FakeApi, KubeClient, RunningOperator, ModuleType, FunctionType, type, asyncio.AbstractEventLoop)


def held(operator: RunningOperator) -> Counter[str]:
    """What can be reached from the operator, by type, without the world in which it runs."""
    gc.collect()
    seen, found = set[int](), Counter[str]()
    queue: list[Any] = [operator.operator]
    while queue:
        one = queue.pop()
        if id(one) in seen or isinstance(one, _OTHERS):
            continue
        seen.add(id(one))
        found[type(one).__name__] += 1
        queue.extend(gc.get_referents(one))
    return found


def test_two_hundred_switches_leave_nothing_behind_and_memory_flat(monkeypatch):
    monkeypatch.setattr(events, "_REMEMBERED", 20)  # else it comes to its bound after them
    seen = list[Counter[str]]()

    async def story(world: World) -> None:
        world.create(RELEASES, release("web", metrics=True, strategy={"blueGreen": {"keepOld": "5s"}}))
        operator = world.start()
        await world.until_phase("web", "Healthy")
        for number in range(SWITCHES):
            world.commit("web", number + 2)
            await world.until_phase("web", "Healthy", version=number + 2)
            await world.until(lambda: len(world.api.objects(DEPLOYMENTS.path())) == 1)
            if number + 1 in (WARM, SWITCHES):
                await asyncio.sleep(60)
                seen.append(held(operator))

    world = run(story)
    assert len(world.api.objects(SERVICES.path())) == 2, "its own and its version's"
    assert len(world.api.objects(ANALYSIS_RUNS.path())) <= 20
    warm, end = seen
    grown = {name: (warm[name], count) for name, count in end.items() if count > warm[name] + 20}
    assert warm.total() > 200
    assert end.total() <= warm.total() * 1.05, grown
