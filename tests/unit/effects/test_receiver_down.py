"""A receiver that is away for an hour while three hundred Releases have something to tell."""

import asyncio
import gc
import logging
import tracemalloc

import looptime
import pytest

from controller.api.effect import Effect, Owed
from controller.effects import notify
from controller.effects.carrier import CarriedOut, EffectFailedError
from controller.effects.outbox import Kind, Outbox
from controller.kube.objects import Key
from controller.rollout.effect import Answered

RELEASES = [Key("shop", f"web-{number}") for number in range(300)]
NEIGHBOR = Key("other", "web")
HOUR = 3600.0
FLAT = 256 * 1024
"""Bytes by which the second half of the hour may differ from the first."""


class Receivers:
    """Those of one namespace are away until `back`; each counts what it took."""

    def __init__(self, *, hangs):
        self.hangs = hangs
        self.back = False
        self.tries = 0
        self.took: dict[tuple[Key, str], int] = {}

    async def carry_out(self, owner, effect):
        if owner.namespace == "shop" and not self.back:
            self.tries += 1
            if self.hangs:
                await asyncio.Event().wait()
            raise EffectFailedError("hooks.qa cannot be reached")
        self.took[owner, effect.id] = self.took.get((owner, effect.id), 0) + 1
        return CarriedOut({})


def owed(key):
    return [
        Owed(Effect(f"notify.team.{number}", "notify", {"to": "team"}, must_deliver=True), 0.0) for number in (1, 2)
    ]


async def story(receivers):
    outbox: Outbox[Key] = Outbox(
        {"notify": Kind(receivers, notify.LIMITS)}, lambda _: None, clock=asyncio.get_running_loop().time
    )
    for key in RELEASES:
        outbox.submit(key, owed(key))
    outbox.submit(NEIGHBOR, owed(NEIGHBOR))
    await asyncio.sleep(1)
    assert len(receivers.took) == 2, "the neighbor's, while all of shop's hang"
    sizes = []
    for _ in range(4):
        await asyncio.sleep(HOUR / 4)
        for key in RELEASES:  # as passes do, again and again
            outbox.submit(key, owed(key))
        gc.collect()
        sizes.append(tracemalloc.get_traced_memory()[0])
    assert len(outbox) == 602
    assert outbox.active <= notify.LIMITS.per_namespace
    assert abs(sizes[3] - sizes[1]) < FLAT, sizes
    receivers.back = True
    async with asyncio.timeout(2 * HOUR):
        while len(receivers.took) < 602:  # noqa: ASYNC110 - of a clock that leaps
            await asyncio.sleep(10)
    assert set(receivers.took.values()) == {1}
    assert all(isinstance(one, Answered) for key in RELEASES for one in outbox.results(key).values())
    await outbox.close()


@pytest.mark.parametrize("hangs", [False, True], ids=["refuses", "hangs"])
def test_it_is_kept_and_delivered_once_with_flat_memory_and_a_neighbor_waits_for_nothing(hangs, caplog):
    caplog.set_level(logging.CRITICAL, "controller")  # pytest keeps each line, and that is memory
    receivers = Receivers(hangs=hangs)
    tracemalloc.start()
    try:
        with asyncio.Runner(loop_factory=lambda: looptime.new_event_loop(noop_cycles=0)) as runner:
            runner.run(story(receivers))
    finally:
        tracemalloc.stop()
    assert receivers.tries < 600 * 25, "ever later, up to five minutes"
