"""A control item that is lost."""

import asyncio

import pytest

from tests.unit.queue_share.share_gate import CANARY, IDLE, SHARED, STABLE, play, share_of, took, waits
from workloads.common.share_ledger import Control

PROMOTED = Control(version=3, stable="v2", draining=frozenset({"v1"}), epoch=2)


@pytest.mark.parametrize("control", [SHARED, IDLE, PROMOTED], ids=["stable of a canary", "stable", "draining"])
def test_stable_and_draining_consumers_work_on_when_the_item_is_deleted(control):
    async def story():
        async with share_of(STABLE, control) as (gate, ledger):
            assert not await waits(gate)
            ledger.control = None
            await asyncio.sleep(600)
            assert not await waits(gate, 0.01)

    play(story())


def test_a_canary_stops_when_the_item_is_deleted_and_what_it_has_open_is_handed_back():
    async def story():
        async with share_of(CANARY, SHARED) as (gate, ledger):
            permit = await gate.permit(1)
            ledger.control = None
            assert not await permit.settle(1)
            assert await waits(gate, 600)
            assert gate.is_canary
            ledger.control = SHARED
            assert not await waits(gate, 2.1)

    play(story())


@pytest.mark.parametrize("written", [IDLE, PROMOTED], ids=["stable", "draining"])
def test_a_new_consumer_waits_for_an_item_and_starts_within_two_seconds_of_it(written):
    async def story():
        async with share_of(STABLE, None) as (gate, ledger):
            slots = [asyncio.create_task(gate.permit(1)) for _ in range(8)]
            await asyncio.sleep(60)
            assert not any(slot.done() for slot in slots)
            ledger.control = written
            before = asyncio.get_running_loop().time()
            await asyncio.gather(*slots)
            assert took(before) <= 2

    play(story())


def test_a_new_consumer_of_a_rejected_version_never_starts_without_an_item():
    async def story():
        async with share_of(CANARY, None) as (gate, ledger):
            assert await waits(gate, 60)
            ledger.control = IDLE
            assert await waits(gate, 60)
            ledger.control = None
            assert await waits(gate, 60)

    play(story())
