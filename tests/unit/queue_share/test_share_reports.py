"""What a consumer tells of itself, and how often."""

import asyncio

import pytest

from tests.unit.queue_share.share_gate import CANARY, SHARED, STABLE, play, share_of


@pytest.mark.parametrize(("busy", "fewest", "most"), [(True, 90, 101), (False, 29, 32)])
def test_it_reports_within_a_second_of_a_change_and_at_most_twice_a_second(busy, fewest, most):
    async def story():
        async with share_of(STABLE, SHARED) as (gate, ledger):
            for _ in range(600):
                if busy:
                    await (await gate.permit(1)).settle(1)
                await asyncio.sleep(0.1)
            assert fewest <= len(ledger.reports) <= most
            assert ledger.reports[-1].claims >= gate.claims - 7
            assert [report.seq for report in ledger.reports] == list(range(1, len(ledger.reports) + 1))

    play(story())


def test_a_report_whose_answer_is_lost_is_sent_again_with_the_same_totals():
    async def story():
        async with share_of(STABLE, SHARED) as (gate, ledger):
            await asyncio.sleep(1)
            ledger.loses = 1
            await (await gate.permit(5)).settle(5)
            await asyncio.sleep(1.9)
            assert [report.claims for report in ledger.reports] == [0, 5, 5]
            assert ledger.reports[2].seq > ledger.reports[1].seq

    play(story())


def test_a_throttled_ledger_is_not_asked_more_often():
    async def story():
        async with share_of(STABLE, SHARED) as (gate, ledger):
            await gate.permit(1)
            ledger.away = True
            await asyncio.sleep(60)
            assert 28 <= len(ledger.report_times) <= 101
            ledger.away = False
            await asyncio.sleep(2.1)
            assert ledger.reports[-1].seq == len(ledger.report_times), "one heartbeat later all is known"

    play(story())


def test_the_last_totals_are_reported_at_the_end():
    async def story():
        async with share_of(STABLE, SHARED) as (gate, ledger):
            await (await gate.permit(3)).settle(3)
        assert ledger.reports[-1].claims == 3

    play(story())


def test_a_canary_says_for_how_many_messages_it_waits_and_only_while_it_does():
    async def story():
        async with share_of(CANARY, SHARED) as (gate, ledger):
            await asyncio.sleep(1)
            quick = await gate.permit(1)
            await quick.settle(1)
            await asyncio.sleep(1)
            assert [report.waiting for report in ledger.reports] == [0] * len(ledger.reports)
            slow = await gate.permit(2)
            await asyncio.sleep(0.75)
            assert ledger.reports[-1].waiting == 2
            await slow.settle(0)
            await asyncio.sleep(0.75)
            assert ledger.reports[-1].waiting == 0

    play(story())
