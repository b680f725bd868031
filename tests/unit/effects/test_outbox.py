"""Effects are carried out beside the passes: each once at a time, again after a failure, and never in another's way."""

import asyncio

from controller.api.effect import Effect, Owed
from controller.effects.carrier import CarriedOut, EffectFailedError, EffectRefusedError
from controller.kube.errors import UnavailableError
from controller.kube.objects import Key
from controller.rollout.effect import Answered, Refused, Retrying
from tests.unit.effects.outbox_world import WEB, World, in_leaping_time


@in_leaping_time
async def test_a_result_is_kept_and_wakes_its_release(world):
    world.owe("gate")
    assert world.result("gate") is None
    await asyncio.sleep(0.1)
    assert world.result("gate") == Answered({"result": "yes"})
    assert world.woken == [WEB]


@in_leaping_time
async def test_handing_the_same_over_at_each_pass_carries_it_out_once(world):
    for _ in range(5):
        world.owe("gate")
        await asyncio.sleep(0.1)
    assert world.carrier.times("gate") == 1
    assert world.woken == [WEB]


@in_leaping_time
async def test_a_failure_is_tried_again_ever_later(world):
    world.carrier.script["gate"] = [EffectFailedError("away")] * 3 + [CarriedOut({"result": "yes"})]
    world.owe("gate")
    await asyncio.sleep(0.1)
    assert world.result("gate").message == "away"
    assert world.result("gate").attempts == 1
    assert 0.7 < world.result("gate").next_at < 1.3
    await asyncio.sleep(15)
    assert world.result("gate") == Answered({"result": "yes"})
    assert world.carrier.times("gate") == 4


@in_leaping_time
async def test_a_receiver_that_asks_for_time_gets_it(world):
    world.carrier.script["gate"] = [EffectFailedError("busy", retry_after=100.0), CarriedOut({})]
    world.owe("gate")
    await asyncio.sleep(99)
    assert world.carrier.times("gate") == 1
    await asyncio.sleep(30)
    assert world.carrier.times("gate") == 2


@in_leaping_time
async def test_so_does_the_api_server_whatever_the_effect(world):
    """Webhooks, notifications and git read Secrets, and asked a busy server again after a second."""
    world.carrier.script["gate"] = [UnavailableError(429, "", "too many requests", retry_after=100.0), CarriedOut({})]
    world.owe("gate")
    await asyncio.sleep(99)
    assert world.carrier.times("gate") == 1
    assert world.result("gate").message == "the API server cannot be reached: too many requests"
    await asyncio.sleep(30)
    assert world.carrier.times("gate") == 2


@in_leaping_time
async def test_an_answer_that_may_change_is_asked_for_again(world):
    waiting, yes = CarriedOut({"result": "wait"}, again_in=30.0), CarriedOut({"result": "yes"})
    world.carrier.script["gate"] = [waiting, waiting, yes]
    world.owe("gate")
    await asyncio.sleep(31)
    assert world.carrier.times("gate") == 2
    assert world.woken == [WEB], "the same answer again is no news"
    await asyncio.sleep(31)
    assert world.result("gate") == Answered({"result": "yes"})
    assert world.woken == [WEB, WEB]


@in_leaping_time
async def test_what_can_never_work_is_not_tried_again(world):
    world.carrier.script["gate"] = [EffectRefusedError("no such field")]
    world.owe("gate")
    await asyncio.sleep(1000)
    assert world.result("gate") == Refused("no such field")
    assert world.carrier.times("gate") == 1


@in_leaping_time
async def test_a_kind_that_is_not_known_here_is_refused_and_wakes(world):
    world.outbox.submit(WEB, [Owed(Effect("x", "pigeon", {}), 0.0)])
    await asyncio.sleep(0)
    assert "'pigeon'" in world.result("x").message
    assert world.woken == [WEB]
    world.outbox.submit(WEB, [])
    assert len(world.outbox) == 0


@in_leaping_time
async def test_a_payload_that_is_too_large_is_refused(world):
    world.owe("gate", text="x" * 5000)
    await asyncio.sleep(0.1)
    assert world.result("gate") == Refused("the payload of gate is larger than 4096 bytes")
    assert not world.carrier.calls


@in_leaping_time
async def test_an_answer_that_is_too_large_is_a_failure(world):
    world.carrier.script["gate"] = [CarriedOut({"text": "x" * 20_000})]
    world.owe("gate")
    await asyncio.sleep(0.1)
    assert world.result("gate").message == "the answer is larger than 16384 bytes"


@in_leaping_time
async def test_what_is_owed_no_longer_is_cancelled_and_forgotten(world):
    world.carrier.script["gate"] = ["hang"]
    world.owe("gate", "other")
    await asyncio.sleep(1)
    world.owe("other")
    await asyncio.sleep(0.1)
    assert world.carrier.cancelled == ["gate"]
    assert world.outbox.results(WEB) == {"other": Answered({"result": "yes"})}
    await asyncio.sleep(1000)
    assert world.carrier.times("gate") == 1


@in_leaping_time
async def test_what_waits_for_its_next_try_is_cancelled_too(world):
    world.carrier.script["gate"] = [EffectFailedError("away")]
    world.owe("gate")
    await asyncio.sleep(0.1)
    world.outbox.forget(WEB)
    await asyncio.sleep(1000)
    assert world.carrier.times("gate") == 1
    assert len(world.outbox) == 0


@in_leaping_time
async def test_another_payload_under_the_same_id_is_carried_out_anew(world):
    world.carrier.script["gate"] = ["hang", CarriedOut({"result": "no"})]
    world.owe("gate", url="http://old.qa")
    await asyncio.sleep(1)
    world.owe("gate", url="http://new.qa")
    await asyncio.sleep(1)
    assert world.carrier.cancelled == ["gate"]
    assert world.result("gate") == Answered({"result": "no"})


@in_leaping_time
async def test_a_hang_ends_at_the_limit_and_is_tried_again(world):
    world.carrier.script["gate"] = ["hang", CarriedOut({"result": "yes"})]
    world.owe("gate")
    await asyncio.sleep(30.1)
    assert world.result("gate").message == "it took longer than 30 s"
    await asyncio.sleep(2)
    assert world.result("gate") == Answered({"result": "yes"})


@in_leaping_time
async def test_a_tenant_whose_receivers_hang_leaves_room_for_the_others(world):
    """Of 8 places one namespace fills 4, however much it owes."""
    ids = [f"gate-{number}" for number in range(20)]
    for name in ids:
        world.carrier.script[name] = ["hang"]
    for release in range(50):
        world.owe(*ids, to=Key("greedy", f"web-{release}"))
    await asyncio.sleep(0.1)
    assert world.outbox.active == 4
    world.owe("mine", to=WEB)
    await asyncio.sleep(0.1)
    assert world.result("mine") == Answered({"result": "yes"})


@in_leaping_time
async def test_a_hanging_effect_does_not_delay_another_of_its_own_release(world):
    world.carrier.script["slow"] = ["hang"]
    world.owe("slow", "quick")
    await asyncio.sleep(0.1)
    assert world.outbox.results(WEB) == {"quick": Answered({"result": "yes"})}


@in_leaping_time
async def test_all_that_waits_for_a_place_gets_one(world):
    for release in range(40):
        world.owe("a", "b", to=Key(f"team-{release % 3}", f"web-{release}"))
    await asyncio.sleep(1)
    assert len(world.carrier.calls) == 80
    assert world.outbox.active == 0


@in_leaping_time
async def test_no_release_owes_more_than_its_part(world):
    world.owe(*(f"gate-{number}" for number in range(100)))
    assert len(world.outbox) == 20


@in_leaping_time
async def test_an_unexpected_error_is_said_logged_and_ends_nothing(world):
    world.carrier.script["gate"] = [KeyError("a fault"), CarriedOut({"result": "yes"})]
    world.owe("gate")
    await asyncio.sleep(0.1)
    assert isinstance(world.result("gate"), Retrying)
    assert "operator's log" in world.result("gate").message
    await asyncio.sleep(2)
    assert world.result("gate") == Answered({"result": "yes"})


@in_leaping_time
async def test_a_leader_that_may_have_lost_its_lease_calls_nobody(world):
    world.outbox.may_act = lambda: world.now() > 10
    world.owe("gate")
    await asyncio.sleep(9)
    assert not world.carrier.calls
    await asyncio.sleep(3)
    assert world.result("gate") == Answered({"result": "yes"})


@in_leaping_time
async def test_messages_hold_no_control_characters(world):
    world.carrier.script["gate"] = [EffectFailedError("a\x1b[31m\nb\u202ec")]
    world.owe("gate")
    await asyncio.sleep(0.1)
    assert world.result("gate").message == "a[31m bc"


@in_leaping_time
async def test_a_new_outbox_goes_on_from_what_is_owed(world):
    """After a restart: the same id, so that the receiver can tell."""
    world.carrier.script["gate"] = ["hang"]
    world.owe("gate")
    await asyncio.sleep(1)
    await world.outbox.close()
    after = World()
    after.owe("gate")
    await asyncio.sleep(1)
    assert after.carrier.calls == world.carrier.calls == [(WEB, "gate")]
    assert after.result("gate") == Answered({"result": "yes"})
