"""What a Release that is gone still owed: notifications are tried for another minute."""

import asyncio

from controller.api.effect import Effect, Owed
from controller.effects.carrier import CarriedOut, EffectFailedError
from tests.unit.effects.outbox_world import WEB, in_leaping_time


def note(name: str) -> Owed:
    return Owed(Effect(name, "fake", {}, must_deliver=True), 0.0)


@in_leaping_time
async def test_a_notification_of_a_release_that_is_gone_is_tried_on(world):
    world.carrier.script["note"] = [EffectFailedError("away"), EffectFailedError("away"), CarriedOut({})]
    world.outbox.submit(WEB, [note("note")])
    await asyncio.sleep(0.1)
    world.outbox.forget(WEB)
    await asyncio.sleep(1000)
    assert world.carrier.times("note") == 3
    assert world.lost == []


@in_leaping_time
async def test_a_notification_of_a_release_that_is_gone_is_given_up_after_a_minute(world):
    world.carrier.script["note"] = [EffectFailedError("away")]
    world.outbox.submit(WEB, [note("note")])
    await asyncio.sleep(0.1)
    world.outbox.forget(WEB)
    world.outbox.forget(WEB)  # each wake finds it gone again
    await asyncio.sleep(61)
    tried = world.carrier.times("note")
    assert [key for key, _ in world.lost] == [WEB]
    assert world.lost[0][1] == "note: not delivered within 60 s after the Release was deleted: away"
    await asyncio.sleep(1000)
    assert world.carrier.times("note") == tried


@in_leaping_time
async def test_a_release_made_again_does_not_end_the_last_tries_of_the_one_before(world):
    world.carrier.script["note"] = [EffectFailedError("away"), CarriedOut({})]
    world.outbox.submit(WEB, [note("note")])
    await asyncio.sleep(0.1)
    world.outbox.forget(WEB)
    world.outbox.submit(WEB, [note("other")])
    await asyncio.sleep(1000)
    assert world.carrier.times("note") == 2
    assert world.carrier.times("other") == 1
    assert world.lost == []
