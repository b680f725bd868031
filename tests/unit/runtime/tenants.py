"""A tenant who fills or hangs what all share, and a neighbour in another namespace: what does each thing take there?

`Toll` is counted by the loop's clock, which jumps, and in calls of functions: neither knows how busy the machine is.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from controller.api.effect import Effect
from controller.api.resources import HTTP_ROUTES, RELEASES
from controller.effects.carrier import CarriedOut, Owner
from controller.providers.rendering import Renderer
from tests.unit.runtime.fake_api import Object
from tests.unit.runtime.fake_client import Weather
from tests.unit.runtime.fault_world import SHOP, World, release, run
from tests.unit.runtime.hanging import TwoSources

TENANT = "tenant"
STEPS: tuple[Object, ...] = ({"weight": 20}, {"webhook": {"url": "http://gate.qa/"}}, {"approve": {}}, {"weight": 50})
JUDGED: tuple[Object, ...] = ({"weight": 20, "analyze": {"atLeast": "60s", "atMost": "10m"}}, {"weight": 50})

_LOOKS_S = 5.0
"""Looks are cut at multiples of their interval: what is compared begins at one."""


@dataclass(frozen=True)
class Toll:
    """What a neighbour's things take."""

    seconds: dict[str, float]
    passes: int
    """Over anybody's Releases meanwhile."""
    longest: int
    """Calls in the longest step of the event loop, in which nobody else has a turn."""


Burden = Callable[["Street"], Awaitable[Callable[[], None] | None]]
"""What the tenant does. It goes on while the neighbour is watched; what is returned is done at that moment."""


@dataclass
class Gates:
    """In the place of `effects/webhook.py`: the tenant's hang, the others say yes."""

    hanging: int = 0

    async def carry_out(self, owner: Owner, effect: Effect) -> CarriedOut:
        del effect
        if owner.namespace == TENANT:
            self.hanging += 1
            await asyncio.Event().wait()
        return CarriedOut({"result": "yes", "message": ""})

    async def close(self) -> None: ...


@dataclass
class Street:
    """Where both live."""

    world: World
    gates: Gates
    hangs: bool = False
    """The metric source of templates named HANGS."""
    renderer: Renderer = field(default_factory=Renderer)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def names(self, count: int) -> list[str]:
        return [f"tenant-{number}" for number in range(count)]

    async def rest(self, names: list[str], *steps: Object, **options: Any) -> None:
        """So many Releases of the tenant, at rest."""
        for name in names:
            self.world.create(RELEASES, release(name, *steps, **options), TENANT)
        await self.until_all(names, lambda status: status.get("phase") == "Healthy")

    async def until_all(self, names: list[str], met: Callable[[Object], bool]) -> None:
        await self.world.until(lambda: all(met(self.status(name)) for name in names))

    def status(self, name: str) -> Object:
        answer = self.world.api.handle("GET", RELEASES.path(TENANT, name), {}, None)
        status: Object = answer.body["status"]
        return status

    def commit(self, names: list[str]) -> None:
        for name in names:
            containers = [{"name": "web", "image": "web:2"}]
            patch = {"spec": {"template": {"spec": {"containers": containers}}}}
            self.world.api.handle("PATCH", RELEASES.path(TENANT, name), {}, patch)

    def meanwhile(self, task: Awaitable[None]) -> None:
        self.tasks.append(asyncio.ensure_future(task))


def toll_beside(burden: Burden, gates: Gates, weather: Weather | None = None) -> Toll:
    tolls: list[Toll] = []

    async def story(world: World) -> None:
        street = Street(world, gates)
        world.sources = lambda: TwoSources(world.api, world.failing, lambda: street.hangs, street.renderer)
        world.create(RELEASES, release("web", *STEPS))
        world.create(RELEASES, release("judged", *JUDGED, metrics=True))
        operator = world.start()
        await world.until(lambda: all(world.status(name).get("phase") == "Healthy" for name in ("web", "judged")))
        at_once = await burden(street)
        await asyncio.sleep(-world.now() % _LOOKS_S)
        if at_once is not None:
            at_once()
        try:
            before = len(operator.reconciles)
            with _longest_step() as longest:
                seconds = await _neighbour(world)
            tolls.append(Toll(seconds, len(operator.reconciles) - before, longest()))
        finally:
            for task in street.tasks:
                task.cancel()

    run(story, weather)
    return tolls[0]


async def _neighbour(world: World) -> dict[str, float]:
    world.failing.add("web:3")
    world.commit("web", 2)
    world.commit("judged", 3)
    took = {
        "pass": await _seconds(world, lambda: _canary_share(world, "web") == 20),
        "effect": await _seconds(world, lambda: world.status("web").get("reason") == "AwaitingApproval"),
    }
    world.ask("web", "abort")
    took["abort"] = await _seconds(world, lambda: _canary_share(world, "web") == 0)
    took["look"] = await _seconds(world, lambda: world.status("judged").get("phase") == "RolledBack")
    return took


async def _seconds(world: World, met: Callable[[], object]) -> float:
    loop = asyncio.get_running_loop()
    start = loop.time()
    await world.until(met, seconds=300)
    return loop.time() - start


def _canary_share(world: World, name: str) -> int:
    route = world.api.handle("GET", HTTP_ROUTES.path(SHOP, name), {}, None).body
    stable = f"{name}-{world.status(name)['stableRevision']}"
    return sum(part["weight"] // 100 for part in route["spec"]["rules"][0]["backendRefs"] if part["name"] != stable)


@contextlib.contextmanager
def _longest_step() -> Iterator[Callable[[], int]]:
    calls, longest = 0, 0
    run_handle = asyncio.Handle._run

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    def counted(handle: asyncio.Handle) -> None:
        nonlocal calls, longest
        calls = 0
        run_handle(handle)
        longest = max(longest, calls)

    asyncio.Handle._run = counted  # type: ignore[method-assign,assignment]
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield lambda: longest
    finally:
        sys.setprofile(before)
        asyncio.Handle._run = run_handle  # type: ignore[method-assign]
