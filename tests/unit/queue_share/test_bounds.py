"""What a consumer can write costs the operator little, and costs no other Release anything."""

import heapq
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.queue_share.ledger import LASTS_S, MOST_NEW, Ledger, Pod, _levelled, allocate
from controller.queue_share.ports import FORGOTTEN_S, MOST_CONSUMERS, LedgerPlace, Report
from controller.queue_share.stores.memory import MemoryLedgers
from tests.unit.queue_share.test_allocator import PLACE, Clock, Shop

LEDGER = Ledger("v1", "v2", share=0.25, epoch=3, expires_at=100.0 + LASTS_S, counted={"s": 0, "c": 0})


def claimed(stable, seconds=0.5):
    pods = {"s": Pod("v1", stable, 100.0 + seconds), "c": Pod("v2", 0, 100.0 + seconds)}
    return allocate(LEDGER, pods, 100.0 + seconds, LASTS_S)


def test_a_report_of_a_million_million_claims_costs_nothing():
    began = time.process_time()
    claimed(10**12)
    assert time.process_time() - began < 0.1


def test_a_report_of_a_million_claims_gives_no_more_than_a_round_can_hold():
    assert claimed(10**6).granted == {"c": MOST_NEW // 4}
    assert claimed(10**6).granted == claimed(MOST_NEW).granted


def test_a_round_that_comes_late_counts_what_was_claimed_meanwhile():
    late = claimed(4 * MOST_NEW, seconds=2.0)
    assert late.granted == {"c": MOST_NEW}


@given(st.lists(st.integers(-3, 12), min_size=1, max_size=6), st.integers(0, 60))
def test_credits_by_arithmetic_are_those_of_one_at_a_time(lefts, give):
    names = [(left, f"c{number}") for number, left in enumerate(lefts)]
    heap, granted = sorted(names), dict.fromkeys((name for _, name in names), 0)
    for _ in range(give):
        left, name = heap[0]
        granted[name] += 1
        heapq.heapreplace(heap, (left + 1, name))
    assert {name: 0 for _, name in names} | _levelled(names, give) == granted


def test_pods_that_are_gone_leave_the_ledger():
    ledger = replace(LEDGER, counted=dict.fromkeys((f"gone.{number}" for number in range(1000)), 7))
    assert allocate(ledger, {"s": Pod("v1", 0, 100.0)}, 100.0, LASTS_S).counted == {"s": 0}


@pytest.mark.parametrize("number", [-1, True, 2**53 + 1, 10**4000, 1.0, "1", None])
def test_a_report_holds_whole_numbers_that_a_float_can_hold(number):
    with pytest.raises(ValueError, match=r"^claims: .{1,60} is not a whole number between 0 and 2\^53$"):
        Report("s", "v1", number, 1)


async def test_consumers_that_are_gone_are_forgotten_and_no_more_are_taken_than_can_be_kept():
    clock = Clock()
    store = MemoryLedgers(monotonic=clock)
    await store.write("shop/web", LEDGER, over=0, term=1)
    assert all(store.take("shop/web", Report(f"s.{number}", "v1", 1, 1)) for number in range(MOST_CONSUMERS))
    assert not store.take("shop/web", Report("one.more", "v1", 1, 1))
    clock.now += FORGOTTEN_S / 2
    assert store.take("shop/web", Report("s.0", "v1", 2, 2)), "a known one is always heard"
    clock.now += FORGOTTEN_S / 2 + 1
    assert store.take("shop/web", Report("one.more", "v1", 1, 1))
    assert [report.consumer for report in await store.reports("shop/web")] == ["s.0", "one.more"]


async def test_a_silent_consumer_is_forgotten_wherever_its_report_lies():
    shop = await opened()
    shop.report("s", "v1", 8)
    await shop.round()
    shop.clock.now += FORGOTTEN_S
    shop.report("c", "v2", 0)
    await shop.round()
    assert set((await shop.allocators.read(PLACE)).counted) == {"c"}


async def opened():
    shop = Shop()
    await shop.weights(v1=100.0)
    shop.report("s", "v1", 0)
    shop.report("c", "v2", 0)
    await shop.weights(v1=75.0, v2=25.0)
    return shop


async def test_a_release_that_is_gone_is_allocated_for_no_longer_and_its_store_is_closed():
    shop = await opened()
    await shop.allocators.retain(set())
    assert await shop.store.read(PLACE.service) is not None, "a list may be older than the Release"
    shop.clock.now += 61
    await shop.allocators.retain({PLACE.service})
    assert await shop.store.read(PLACE.service) is not None
    await shop.allocators.retain(set())
    assert await shop.store.read(PLACE.service) is None
    assert (shop.allocators._watched, shop.allocators._stores) == ({}, {})
    await shop.allocators.round(PLACE)
    assert shop.allocators._watched == {}
    assert await shop.weights(v1=100.0), "and it begins anew"


async def test_a_release_with_another_table_is_not_allocated_for_in_the_one_before():
    shop = await opened()
    await shop.allocators.read(LedgerPlace(PLACE.service, "another"))
    assert [watched.place.table for watched in shop.allocators._watched.values()] == ["another"]
    await shop.allocators.retain({PLACE.service})
    assert list(shop.allocators._stores) == [("another", "")]
