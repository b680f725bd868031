"""A whole operator and its gates: an answer is acted on at once, and a gate that hangs delays nothing but its step."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from controller.api.effect import Effect
from controller.api.resources import HTTP_ROUTES, RELEASES
from controller.effects import webhook
from controller.effects.carrier import CarriedOut, Owner
from controller.runtime.reachability import NETWORK_S
from tests.unit.runtime.fake_api import Object
from tests.unit.runtime.fake_client import Weather
from tests.unit.runtime.fault_world import SHOP, World, release, run
from tests.unit.runtime.weathers import trouble

STEPS: tuple[Object, ...] = ({"weight": 20}, {"webhook": {"url": "http://gate.qa/", "timeout": "60s"}}, {"weight": 50})
MANY = 40
"""More than fit into one namespace's places."""


@dataclass
class FakeGates:
    """In the place of `effects/webhook.py`: each Release's gate is shut, and hangs, until it is opened."""

    opened: dict[str, asyncio.Event] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def of(self, name: str) -> asyncio.Event:
        return self.opened.setdefault(name, asyncio.Event())

    async def carry_out(self, owner: Owner, effect: Effect) -> CarriedOut:
        self.asked.append((owner.name, effect.id))
        await self.of(owner.name).wait()
        return CarriedOut({"result": "yes", "message": ""})

    async def close(self) -> None: ...


@pytest.fixture
def gates(monkeypatch):
    it = FakeGates()
    monkeypatch.setattr(webhook, "create", lambda _: it)
    return it


def canary_share(world: World, name: str) -> int:
    route = world.api.handle("GET", HTTP_ROUTES.path(SHOP, name), {}, None).body
    stable = f"{name}-{world.status(name)['stableRevision']}"
    return sum(part["weight"] // 100 for part in route["spec"]["rules"][0]["backendRefs"] if part["name"] != stable)


async def at_their_gates(world: World, *names: str, steps: tuple[Object, ...] = STEPS) -> None:
    for name in names:
        world.create(RELEASES, release(name, *steps))
    if not world.operators:
        world.start()
    await world.until(lambda: all(world.status(name).get("phase") == "Healthy" for name in names))
    for name in names:
        world.commit(name, 2)
    await world.until(lambda: all(world.status(name).get("reason") == "AwaitingWebhook" for name in names))


async def seconds_until(world: World, met: Callable[[], Any]) -> float:
    loop = asyncio.get_running_loop()
    start = loop.time()
    await world.until(met, seconds=120)
    return loop.time() - start


def test_an_answer_is_acted_on_at_once(gates):
    async def story(world):
        await at_their_gates(world, "web")
        gates.of("web").set()
        assert await seconds_until(world, lambda: world.status("web")["step"] == 2) <= 1

    run(story)


def test_gates_that_hang_delay_no_abort_and_no_other_release(gates):
    async def story(world):
        names = [f"web-{number}" for number in range(MANY)]
        await at_their_gates(world, *names)
        loop = asyncio.get_running_loop()
        start = loop.time()
        world.ask(names[-1], "abort")
        await world.until(lambda: canary_share(world, names[-1]) == 0, seconds=60)
        assert loop.time() - start <= 1
        world.create(RELEASES, release("plain", {"weight": 20}, {"approve": {}}))
        await world.until_phase("plain", "Healthy", seconds=30)
        world.commit("plain", 2)
        assert await seconds_until(world, lambda: canary_share(world, "plain") == 20) <= 5 + NETWORK_S

    run(story)


def test_what_is_aborted_asks_no_gate_any_longer(gates):
    async def story(world):
        await at_their_gates(world, "web")
        (operator,) = world.operators
        assert operator.operator.outbox.active == 1
        world.ask("web", "abort")
        await world.until_phase("web", "RolledBack")
        assert operator.operator.outbox.active == len(operator.operator.outbox) == 0

    run(story)


class NotOwed(Weather):
    """No status is taken in which something is owed, until it clears up."""

    refused = 0
    over = False

    async def serve(self, request, execute):
        if not self.over and request.is_write and "owed" in ((request.body or {}).get("status") or {}):
            self.refused += 1
            return await trouble(503, execute)
        return execute()


def test_no_gate_is_asked_before_the_status_owes_it(gates):
    """Else a leader that comes after would not know of the call."""
    weather = NotOwed()

    async def story(world):
        world.create(RELEASES, release("web", *STEPS))
        world.start()
        await world.until_phase("web", "Healthy")
        world.commit("web", 2)
        await world.until(lambda: weather.refused > 5)
        assert not gates.asked
        weather.over = True
        await world.until(lambda: gates.asked)

    run(story, weather)


def test_the_next_leader_asks_under_the_same_key(gates):
    async def story(world):
        await at_their_gates(world, "web")
        await world.operators.pop().stop()
        world.start("b")
        await world.until(lambda: len(gates.asked) == 2)
        assert len(set(gates.asked)) == 1
        gates.of("web").set()
        await world.until_phase("web", "Healthy", version=2)

    run(story)


@pytest.mark.parametrize("steps", [STEPS, STEPS[1:]], ids=["finalized", "gone at once"])
def test_a_release_that_is_deleted_asks_no_gate_any_longer(gates, steps):
    """Before a canary has work there is no finalizer, and so no pass that sees it go."""

    async def story(world):
        await at_their_gates(world, "web", steps=steps)
        world.delete("web")
        (operator,) = world.operators
        await world.until(lambda: len(operator.operator.outbox) == 0)

    run(story)
