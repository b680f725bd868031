"""Rounds of credits, as the operator's leader makes them."""

import asyncio
from dataclasses import replace

import pytest

from controller.ports import RoutedService, Weights
from controller.queue_share.allocator import Allocators
from controller.queue_share.ledger import ROUND_S, TRIAL_S, Wanted, towards
from controller.queue_share.ports import LedgerAwayError, LedgerPlace, Report
from controller.queue_share.stores.memory import MemoryLedgers
from controller.routers.queue import QueueRouter
from tests.bench.tasks import meanwhile
from tests.share_reading import credits_of
from workloads.common.share_rules import CYCLE_S

PLACE = LedgerPlace("shop/thumbnails")


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class Shop:
    """One queue, two consumers, an allocator whose rounds are made by hand."""

    def __init__(self):
        self.clock = Clock()
        self.store = MemoryLedgers()
        self.allocators = Allocators(self._here, clock=self.clock, monotonic=self.clock)
        self.seq = 0

    async def _here(self, _):
        return self.store

    async def weights(self, **shares):
        def change(ledger, pods, now):
            return towards(Wanted(shares, "v1"), ledger, pods, now)

        return await self.allocators.change(PLACE, change)

    def report(self, consumer, revision, claims):
        self.seq += 1
        assert self.store.take(PLACE.service, Report(consumer, revision, claims, self.seq))

    async def round(self, seconds=ROUND_S):
        self.clock.now += seconds
        await self.allocators.round(PLACE)

    async def credits(self, claims):
        ledger = await self.allocators.read(PLACE)
        assert ledger is not None
        return credits_of(ledger, "c", "v2", claims, self.clock.now)


@pytest.fixture
async def shop():
    shop = Shop()
    await shop.weights(v1=100.0)
    shop.report("s", "v1", 0)
    shop.report("c", "v2", 0)
    await shop.weights(v1=75.0, v2=25.0)
    return shop


async def test_a_weight_is_written_once(shop):
    assert not await shop.weights(v1=75.0, v2=25.0)
    assert await shop.weights(v1=50.0, v2=50.0)


async def test_each_round_gives_credits_for_what_was_claimed(shop):
    shop.report("s", "v1", 8)
    await shop.round()
    assert await shop.credits(0) == 2
    shop.report("c", "v2", 2)
    shop.report("s", "v1", 10)
    await shop.round()
    assert await shop.credits(2) == 1


async def test_a_consumer_that_says_nothing_new_is_given_nothing_new(shop):
    shop.report("s", "v1", 8)
    await shop.round(10.0)
    assert await shop.credits(0) == 0
    shop.report("c", "v2", 0)
    shop.report("s", "v1", 16)
    await shop.round()
    assert await shop.credits(0) == 2


async def test_a_report_that_comes_late_changes_nothing(shop):
    shop.report("s", "v1", 8)
    shop.store.take(PLACE.service, Report("s", "v1", 900, 1))
    await shop.round()
    assert await shop.credits(0) == 2


async def starve(shop, seconds, *, claims_each_round=4, canary=lambda: 0):
    total = 100
    for _ in range(int(seconds / ROUND_S)):
        total += claims_each_round
        shop.report("s", "v1", total)
        shop.report("c", "v2", canary())
        await shop.round()
    return shop.allocators.unused_credits_s(PLACE)


async def test_a_canary_that_leaves_its_credits_starves(shop):
    assert 56 <= await starve(shop, 60) <= 58, "not by what was granted within two seconds"


async def test_a_queue_without_work_starves_nobody(shop):
    before = await starve(shop, 10)
    # in a cycle of stable's turns nobody need find anything
    assert await starve(shop, 600, claims_each_round=0) <= before + CYCLE_S + 2 * ROUND_S


async def test_a_canary_that_takes_what_it_is_given_does_not_starve(shop):
    claimed = 0

    def take():
        nonlocal claimed
        ledger = shop.store._books[PLACE.service].stored.ledger
        claimed += int(credits_of(ledger, "c", "v2", claimed, shop.clock.now))
        return claimed

    assert await starve(shop, 60, canary=take) == 0
    assert claimed > 50


async def test_a_round_that_was_overtaken_by_a_rollback_gives_nothing(shop):
    shop.report("s", "v1", 8)
    read = shop.store.read

    async def rolled_back_after(service):
        stored = await read(service)
        shop.store.read = read
        await shop.weights(v1=100.0)
        return stored

    shop.store.read = rolled_back_after
    await shop.round()
    assert (await shop.allocators.read(PLACE)).share == 0
    assert await shop.credits(0) == 0


async def test_a_leader_that_was_frozen_writes_nothing(shop):
    shop.allocators.may_write = lambda: False
    shop.report("s", "v1", 8)
    with pytest.raises(LedgerAwayError, match="another operator may be the leader"):
        await shop.round()
    with pytest.raises(LedgerAwayError):
        await shop.weights(v1=100.0)
    assert await shop.credits(0) == 0


async def test_rounds_go_on_after_a_ledger_was_away_and_say_it_once(shop, caplog):
    shop.clock.now = 0.0
    read, failed = shop.store.read, 0

    async def away(service):
        nonlocal failed
        failed += 1
        if failed <= 2:
            raise LedgerAwayError("nobody there")
        return await read(service)

    shop.store.read = away
    shop.report("s", "v1", 8)
    running = asyncio.create_task(shop.allocators.run())
    async with asyncio.timeout(10):
        while await credits_now(shop, read) < 2:  # noqa: ASYNC110 - a store that tells nobody
            await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [record.getMessage() for record in caplog.records].count(
        "no credits for the canary of shop/thumbnails: nobody there"
    ) == 1


async def credits_now(shop, read):
    stored = await read(PLACE.service)
    return credits_of(replace(stored.ledger, expires_at=1e9), "c", "v2", 0, 0.0)


async def test_a_ledger_that_cannot_be_read_costs_no_other_its_credits_and_is_said_once(shop, caplog, monkeypatch):
    """What stands in a ledger, a consumer may have written."""
    odd, reports = LedgerPlace("shop/odd"), shop.store.reports
    await shop.allocators.change(
        odd, lambda ledger, pods, now: towards(Wanted({"v1": 95.0, "v2": 5.0}, "v1"), ledger, pods, now)
    )
    await shop.weights(v1=95.0, v2=5.0)
    rounds = {odd.service: 0, PLACE.service: 0}

    async def malformed(service):
        rounds[service] += 1
        if service == odd.service:
            raise KeyError("claims")
        return await reports(service)

    monkeypatch.setattr(shop.store, "reports", malformed)
    async with meanwhile(shop.allocators.run()), asyncio.timeout(30):
        while min(rounds.values()) < 3:  # noqa: ASYNC110 - the rounds come by a timer
            await asyncio.sleep(0.05)
    assert [record.message for record in caplog.records] == ["no credits for the canary of shop/odd"]


async def test_the_router_says_who_is_on_trial_until_the_mark_has_to_be_renewed(shop):
    router = QueueRouter(None, RoutedService("shop", "thumbnails", None, ()), shop.allocators)

    async def on_trial():
        weights = await router.observe()
        assert weights is not None
        return weights.signs.on_trial

    assert await on_trial() == ""
    switched = Weights({"v2": 100.0}, stable="v1", on_trial="v2")
    assert await router.ensure(switched)
    assert (await on_trial(), await router.ensure(switched)) == ("v2", False)
    shop.clock.now += TRIAL_S / 2
    assert (await on_trial(), await router.ensure(switched)) == ("", True)
    await router.ensure(Weights({"v2": 100.0}, stable="v2"))
    assert await on_trial() == ""
