"""What stable leaves to a canary, and when it does not."""

import asyncio
from dataclasses import replace

import pytest

from tests.unit.queue_share.share_gate import CANARY, SHARED, STABLE, play, share_of, took, waits


def test_stable_leaves_a_message_that_a_canary_waits_for_and_all_its_slots_go_on_together_within_two_seconds():
    async def story():
        async with share_of(STABLE, SHARED) as (gate, ledger):
            await gate.permit(1)
            ledger.control = replace(SHARED, unused=1)
            await asyncio.sleep(0.6)
            slots = [asyncio.create_task(gate.permit(1)) for _ in range(4)]
            await asyncio.sleep(0.8)
            slots.append(asyncio.create_task(gate.permit(1)))
            assert not any(slot.done() for slot in slots)
            await asyncio.gather(*slots)
            assert took(0.0) == pytest.approx(2.5, abs=0.02)
            assert not await waits(gate, 0.01), "it is stable's turn for half a second"

            await asyncio.sleep(0.6)
            asking = asyncio.create_task(gate.permit(1))
            await asyncio.sleep(0.5)
            before = asyncio.get_running_loop().time()
            ledger.control = SHARED
            await asking
            assert took(before) <= 0.31

    play(story())


def test_polls_of_stable_are_short_while_there_is_a_share_and_only_then():
    async def story():
        async with share_of(STABLE, SHARED) as (gate, ledger):
            assert (await gate.permit(1)).wait_s == 1
            ledger.control = replace(SHARED, share=0.0, epoch=2)
            await asyncio.sleep(3)
            assert (await gate.permit(1)).wait_s is None
        async with share_of(STABLE, SHARED) as (gate, ledger):
            assert (await gate.permit(1)).wait_s == 1
            ledger.away = True
            await asyncio.sleep(11)
            assert (await gate.permit(1)).wait_s is None, "credits have ended, and so has the canary"
        async with share_of(CANARY, SHARED) as (gate, _):
            assert (await gate.permit(1)).wait_s is None

    play(story())


@pytest.mark.parametrize("then", ["away", "expired", "rolled back"])
def test_what_nobody_will_use_is_not_waited_for(then):
    async def story():
        async with share_of(STABLE, replace(SHARED, unused=3)) as (gate, ledger):
            await gate.permit(1)
            if then == "away":
                ledger.away = True
            elif then == "expired":
                ledger.control = replace(SHARED, unused=3, expires_in=-1.0)
            else:
                ledger.control = replace(SHARED, unused=3, share=0.0, epoch=2)
            await asyncio.sleep(3)
            before = asyncio.get_running_loop().time()
            await gate.permit(1)
            assert took(before) == 0

    play(story())
