"""What a gate gives to polls, to whom, and what becomes of it."""

import asyncio
from dataclasses import replace

import pytest

from tests.unit.queue_share.share_gate import CANARY, IDLE, SHARED, STABLE, PlayedLedger, play, share_of, took, waits
from workloads.common.share import UNSTOPPED, Share
from workloads.common.share_ledger import Control


def test_a_canary_asks_for_no_more_messages_than_it_has_credits_however_many_slots_ask():
    async def story():
        async with share_of(CANARY, SHARED) as (gate, ledger):
            ledger.takes_s = 0.01
            asked = [asyncio.create_task(gate.permit(2)) for _ in range(8)]
            done, waiting = await asyncio.wait(asked, timeout=5)
            permits = [task.result() for task in done]
            assert sorted(permit.messages for permit in permits) == [1, 2]
            ledger.control = replace(SHARED, version=3, granted={"c.1": 5})
            done, waiting = await asyncio.wait(waiting, timeout=5)
            assert sum(task.result().messages for task in done) == 2
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    play(story())


def test_a_canary_that_backs_off_takes_a_credit_that_the_look_in_the_background_has_found():
    """It slept for up to two seconds beside it, four rounds of credits."""

    async def story():
        async with share_of(CANARY, replace(SHARED, granted={"c.1": 0})) as (gate, ledger):
            asking = asyncio.create_task(gate.permit(1))
            await asyncio.sleep(8)
            for number in range(1, 5):
                before = took(0.0)
                ledger.control = replace(SHARED, version=2 + number, granted={"c.1": number})
                permit = await asking
                assert took(before) <= 0.51, "the time between two looks in the background"
                assert await permit.settle(1)
                asking = asyncio.create_task(gate.permit(1))
                await asyncio.sleep(5)
            reads = ledger.reads
            ledger.away = True
            await asyncio.sleep(4)
            assert ledger.reads - reads <= 12, "what was known before it went away is no reason to ask"
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    play(story())


def test_a_credit_is_kept_until_a_message_comes_and_is_spent_then():
    async def story():
        async with share_of(CANARY, replace(SHARED, granted={"c.1": 1})) as (gate, _):
            permit = await gate.permit(1)
            assert await permit.settle(0)
            permit = await gate.permit(1)
            assert await waits(gate), "reserved"
            assert await permit.settle(1)
            assert (gate.claims, gate.returned) == (1, 0)
            assert await waits(gate), "spent"

    play(story())


def test_a_permit_that_is_cancelled_gives_nothing_away():
    async def story():
        async with share_of(CANARY, replace(SHARED, granted={"c.1": 1})) as (gate, ledger):
            ledger.takes_s = 0.2
            asking = asyncio.create_task(gate.permit(1))
            await asyncio.sleep(0.1)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            assert not await waits(gate)

    play(story())


@pytest.mark.parametrize("hard", [False, True])
def test_a_rollback_during_an_open_poll_hands_the_message_back_and_it_counts_for_nobody(hard):
    async def story():
        async with share_of(CANARY, SHARED) as (gate, ledger):
            earlier = await gate.permit(1)
            assert await earlier.settle(1)
            permit = await gate.permit(1)
            ledger.control = replace(SHARED, version=3, share=0.0, epoch=2, min_epoch=2 if hard else 0, granted={})
            assert not await permit.settle(1)
            assert (gate.claims, gate.returned) == (1, 1)
            assert gate.is_stopped(earlier.epoch) is hard, "what it works on already"
            assert gate.is_canary
            assert await waits(gate)

    play(story())


def test_a_new_share_voids_the_credits_of_the_old_one():
    async def story():
        async with share_of(CANARY, SHARED) as (gate, ledger):
            permit = await gate.permit(1)
            ledger.control = replace(SHARED, version=3, share=0.25, epoch=2)
            assert not await permit.settle(1)

    play(story())


def test_a_message_is_handed_back_when_the_ledger_cannot_confirm_it_or_the_credits_have_ended():
    async def story():
        async with share_of(CANARY, SHARED) as (gate, ledger):
            first, second = await gate.permit(1), await gate.permit(1)
            ledger.away = True
            assert not await first.settle(1)
            ledger.away = False
            ledger.control = replace(SHARED, expires_in=-0.1)
            assert not await second.settle(1)
            assert gate.returned == 2

    play(story())


def test_a_promotion_frees_the_canary_and_the_old_version_ends_its_work():
    promoted = Control(version=3, stable="v2", draining=frozenset({"v1"}), epoch=2, expires_in=-100.0)

    async def story():
        async with (
            share_of(CANARY, replace(SHARED, granted={"c.1": 1})) as (canary, its),
            share_of(STABLE, SHARED) as (stable, other),
        ):
            permit = await canary.permit(1)
            its.control = other.control = promoted
            assert await permit.settle(1), "stable may keep what it has"
            its.away = other.away = True
            assert not await waits(canary)
            assert not await waits(stable)
            assert (canary.is_canary, stable.is_canary) == (False, False)
            assert (await canary.permit(10)).messages == 10

    play(story())


@pytest.mark.parametrize("control", [SHARED, IDLE])
def test_with_the_ledger_away_stable_works_on_at_full_speed(control):
    async def story():
        async with share_of(STABLE, control) as (gate, ledger):
            assert not await waits(gate)
            ledger.away, ledger.takes_s = True, 3.0
            before = asyncio.get_running_loop().time()
            for _ in range(200):
                assert await (await gate.permit(1)).settle(1)
            assert asyncio.get_running_loop().time() - before < 0.1
            await asyncio.sleep(600)
            assert not await waits(gate, 0.01)
            assert not gate.is_canary

    play(story())


def test_with_the_ledger_away_a_canary_stops_at_once_and_comes_back_by_itself():
    async def story():
        async with share_of(CANARY, SHARED) as (gate, ledger):
            assert not await waits(gate)
            ledger.away = True
            assert await waits(gate, 30)
            ledger.away = False
            assert not await waits(gate, 2.5)

    play(story())


@pytest.mark.parametrize("who", [STABLE, CANARY])
def test_who_has_never_had_an_answer_waits_for_one(who):
    async def story():
        ledger = PlayedLedger(SHARED)
        ledger.away = True
        async with Share(ledger, who) as gate:
            assert await waits(gate, 30)
            ledger.away = False
            assert not await waits(gate, 2.5)

    play(story())


@pytest.mark.parametrize(
    "control",
    [
        replace(SHARED, canary="v3"),
        replace(SHARED, canary=""),
        replace(SHARED, share=0.0),
        replace(SHARED, expires_in=0.0),
        replace(SHARED, granted={}),
        replace(SHARED, granted={"c.0": 9}),
    ],
    ids=["another canary", "no canary", "no share", "expired", "no credits", "credits of the process before"],
)
def test_a_version_without_a_credit_takes_nothing_and_asks_ever_less_often(control):
    async def story():
        async with share_of(CANARY, control) as (gate, ledger):
            await asyncio.sleep(10)
            ledger.reads = 0
            assert await waits(gate, 60)
            # back-off of 0.25 to 2 s, and a look every half second in the background
            assert 30 <= ledger.reads <= 170
            assert gate.is_canary

    play(story())


def test_what_stable_takes_is_never_stopped():
    async def story():
        async with share_of(STABLE, IDLE) as (gate, _):
            permit = await gate.permit(7)
            assert (permit.messages, permit.epoch, gate.is_canary) == (7, UNSTOPPED, False)

    play(story())


def test_a_hard_rollback_stops_nothing_that_stable_has_taken():
    async def story():
        async with share_of(STABLE, SHARED) as (gate, ledger):
            permit = await gate.permit(1)
            ledger.control = replace(SHARED, version=3, share=0.0, epoch=9, min_epoch=9)
            await asyncio.sleep(3)
            assert not gate.is_stopped(permit.epoch)

    play(story())


def test_a_switch_puts_the_new_version_on_trial_until_it_is_trusted_or_the_mark_has_ended():
    switched = Control(version=3, stable="v2", epoch=2, on_trial="v2", trial_left=600.0)

    async def story():
        async with share_of(CANARY, IDLE) as (gate, ledger):
            await asyncio.sleep(3)
            assert (gate.is_canary, gate.is_on_trial) == (True, False)
            ledger.control = switched
            await asyncio.sleep(3)
            assert (gate.is_canary, gate.is_on_trial) == (False, True)
            ledger.control = replace(switched, version=4, on_trial="")
            await asyncio.sleep(3)
            assert (gate.is_canary, gate.is_on_trial) == (False, False)
            ledger.control = switched
            await asyncio.sleep(3)
            ledger.away = True
            await asyncio.sleep(500)
            assert gate.is_on_trial, "the ledger is away, which says nothing"
            await asyncio.sleep(110)
            assert (gate.is_canary, gate.is_on_trial) == (False, False)

    play(story())
