"""An outbox whose one kind of effect does what a test says, in a loop whose clock jumps."""

import asyncio
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import looptime

from controller.api.effect import Effect, Owed
from controller.effects.carrier import CarriedOut, Limits, Owner
from controller.effects.outbox import Kind, Outbox
from controller.kube.objects import Key

WEB = Key("shop", "web")
LIMITS = Limits(at_once=8, per_namespace=4, timeout_s=30.0, first_retry_s=1.0, longest_retry_s=60.0)


@dataclass
class FakeCarrier:
    """Does what the payload says, and remembers what it was asked."""

    calls: list[tuple[Owner, str]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    script: dict[str, list[Any]] = field(default_factory=dict)

    async def carry_out(self, owner: Owner, effect: Effect) -> CarriedOut:
        self.calls.append((owner, effect.id))
        steps = self.script.get(effect.id, [])
        then = steps.pop(0) if len(steps) > 1 else (steps[0] if steps else CarriedOut({"result": "yes"}))
        if then == "hang":
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                self.cancelled.append(effect.id)
                raise
        if isinstance(then, Exception):
            raise then
        return then

    def times(self, effect_id: str) -> int:
        return sum(name == effect_id for _, name in self.calls)


class World:
    def __init__(self, limits: Limits = LIMITS) -> None:
        self.carrier = FakeCarrier()
        self.woken: list[Key] = []
        self.lost: list[tuple[Key, str]] = []
        self.outbox: Outbox[Key] = Outbox(
            {"fake": Kind(self.carrier, limits)},
            self.woken.append,
            clock=self.now,
            lost=lambda key, message: self.lost.append((key, message)),
        )

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def owe(self, *ids: str, to: Key = WEB, **payload: Any) -> None:
        self.outbox.submit(to, [Owed(Effect(name, "fake", payload), 0.0) for name in ids])

    def result(self, name: str, of: Key = WEB) -> Any:
        return self.outbox.results(of).get(name)


def in_leaping_time(story: Callable[[World], Any]) -> Callable[[], None]:
    @functools.wraps(story)
    def test() -> None:
        async def told() -> None:
            world = World()
            await story(world)
            await world.outbox.close()
            assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

        with asyncio.Runner(loop_factory=lambda: looptime.new_event_loop(noop_cycles=0)) as runner:
            runner.run(told())

    del test.__wrapped__  # pytest would take the world for a fixture
    return test
