"""A metric source that hangs for ever delays no abort, no rollback, and no other Release."""

import asyncio
from functools import cache

import pytest

from controller.api.resources import HTTP_ROUTES, RELEASES
from tests.unit.runtime.fake_api import Object
from tests.unit.runtime.fault_world import SHOP, World, release, run
from tests.unit.runtime.hanging import HANGS, TwoSources, passes_wait_for_answers

MANY, SOON_S = 150, 0.5
"""With 300 Releases an abort may take a second. Here it is half of both, and a third of the CPU."""
STEPS: tuple[Object, ...] = ({"weight": 20, "analyze": {"atLeast": "60s", "atMost": "10m"}}, {"weight": 50})


class Shop:
    """Releases on a source that hangs once it is told to, and others."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.hangs = False
        world.sources = lambda: TwoSources(world.api, world.failing, lambda: self.hangs)

    async def under_analysis(self, *names: str, template: str = HANGS) -> None:
        """Each has a canary at 20 % and was measured."""
        world = self.world
        for name in names:
            world.create(RELEASES, release(name, *STEPS, metrics=True, metric_template=template))
        if not world.operators:
            world.start()
        await world.until(lambda: all(world.status(name).get("phase") == "Healthy" for name in names))
        for name in names:
            world.commit(name, 2)
        await world.until(lambda: all(world.status(name).get("evidence") for name in names))

    def weight(self, name: str) -> float:
        """Percent of the work that the route gives to the canary."""
        route = self.world.api.handle("GET", HTTP_ROUTES.path(SHOP, name), {}, None).body
        parts = {part["name"]: part["weight"] / 100 for part in route["spec"]["rules"][0]["backendRefs"]}
        stable = self.world.status(name)["stableRevision"]
        return float(sum(weight for backend, weight in parts.items() if backend != f"{name}-{stable}"))

    async def seconds_until_off(self, name: str) -> float:
        loop = asyncio.get_running_loop()
        start = loop.time()
        await self.world.until(lambda: self.weight(name) == 0, seconds=60)
        return loop.time() - start


def names_of(count: int) -> list[str]:
    return [f"web-{number}" for number in range(count)]


async def aborted(shop: Shop, name: str) -> float:
    shop.world.ask(name, "abort")
    return await shop.seconds_until_off(name)


async def without_endpoints(shop: Shop, name: str) -> float:
    shop.world.cluster.broken.add("web:2")
    shop.world.cluster.sync(name)
    return await shop.seconds_until_off(name)


async def first_canary(shop: Shop) -> float:
    """Seconds from a commit until the canary of a Release without metrics has work."""
    world, loop = shop.world, asyncio.get_running_loop()
    start = loop.time()
    world.commit("plain", 2)
    await world.until(lambda: shop.weight("plain") == 20, seconds=60)
    return loop.time() - start


async def rollback_by_evidence(shop: Shop) -> float:
    """Seconds from a commit until the Release on the other source has judged, and rolled back, a bad version."""
    world, loop = shop.world, asyncio.get_running_loop()
    start = loop.time()
    world.failing.add("web:3")
    world.commit("other", 3)
    await world.until(lambda: world.status("other").get("phase") == "RolledBack", seconds=120)
    return loop.time() - start


@cache
def seconds_beside(count: int, *, hang: bool) -> dict[str, float]:
    """What each thing takes beside so many Releases on the source that may hang."""
    took: dict[str, float] = {}

    async def story(world: World) -> None:
        shop = Shop(world)
        world.create(RELEASES, release("plain", {"weight": 20}, {"approve": {}}))
        await shop.under_analysis("other", template="http-errors")
        await shop.under_analysis(*names_of(count))
        shop.hangs = hang
        await asyncio.sleep(7)  # each has a question there by now
        took["canary"] = await first_canary(shop)
        took["rollback"] = await rollback_by_evidence(shop)
        took["abort"] = await aborted(shop, "web-0")
        took["endpoints"] = await without_endpoints(shop, "web-1")

    run(story)
    return took


@pytest.mark.parametrize("count", [2, MANY])
def test_a_source_that_hangs_delays_nothing_but_what_it_is_asked_for(count):
    took, alone = seconds_beside(count, hang=True), seconds_beside(2, hang=False)
    assert took["abort"] <= SOON_S
    assert took["endpoints"] <= SOON_S
    assert took["canary"] <= 1.2 * alone["canary"], "a Release without metrics"
    assert took["rollback"] <= 1.2 * alone["rollback"], "a Release on another source"


def test_a_pass_that_awaited_the_source_would_leave_the_canary_at_work(monkeypatch):
    """The negative control: what was wrong once."""
    passes_wait_for_answers(monkeypatch)

    async def story(world: World) -> None:
        shop = Shop(world)
        await shop.under_analysis("web-0")
        shop.hangs = True
        await asyncio.sleep(7)
        world.ask("web-0", "abort")
        await asyncio.sleep(30)
        assert shop.weight("web-0") == 20

    run(story)


def test_a_source_that_hangs_holds_the_canary_and_the_status_says_so():
    async def story(world: World) -> None:
        shop = Shop(world)
        await shop.under_analysis("web-0")
        shop.hangs = True
        await world.until(lambda: world.status("web-0").get("reason") == "SourceOutage", seconds=30)
        assert shop.weight("web-0") == 20
        assert "did not answer within" in world.status("web-0")["message"]
        shop.hangs = False
        await world.until_phase("web-0", "Healthy", version=2)

    run(story)


def test_nothing_is_kept_of_a_release_that_is_gone():
    async def story(world: World) -> None:
        shop = Shop(world)
        await shop.under_analysis("web-0", "web-1")
        operator = world.operators[0].operator
        assert operator is not None
        analysis = operator.analysis
        assert len(analysis._entries) == 2
        shop.hangs = True
        await asyncio.sleep(7)
        world.delete("web-0")
        world.ask("web-1", "abort")
        await world.until(lambda: not analysis._entries and analysis.active == 0, seconds=60)

    run(story)
