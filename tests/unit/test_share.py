"""The gate of a shared queue, with a ledger that is written by the test and a clock that jumps."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import looptime
import pytest

from workloads.common.share import UNSTOPPED, Share
from workloads.common.share_ledger import Consumer, Control, LedgerError

CANARY = Consumer("shop/thumbnails", "c.1", "v2")
STABLE = Consumer("shop/thumbnails", "s.1", "v1")
IDLE = Control(version=1, stable="v1")
SHARED = Control(version=2, stable="v1", canary="v2", share=0.05, epoch=1, expires_in=10.0, granted={"c.1": 3})


def play(story):
    with asyncio.Runner(loop_factory=lambda: looptime.new_event_loop(start=0.0, noop_cycles=0)) as runner:
        return runner.run(story)


class PlayedLedger:
    """`control` is what it holds, None for nothing. `away`: it does not answer. `loses`: so many reports arrive without
    an answer.
    """

    def __init__(self, control):
        self.control = control
        self.away = False
        self.loses = 0
        self.takes_s = 0.0
        self.reports = []
        self.report_times = []
        self.reads = 0

    def _now(self):
        return asyncio.get_running_loop().time()

    async def report(self, report):
        self.report_times.append(self._now())
        await asyncio.sleep(self.takes_s)
        if self.away:
            raise LedgerError("away")
        self.reports.append(report)
        if self.loses:
            self.loses -= 1
            raise LedgerError("the answer is lost")
        return self._told(self.control)

    async def read(self):
        self.reads += 1
        found = self.control
        await asyncio.sleep(self.takes_s)
        if self.away:
            raise LedgerError("away")
        return self._told(found)

    def _told(self, control):
        if control is None:
            raise LedgerError("no control item")
        return control

    async def close(self):
        self.closed = True


@asynccontextmanager
async def share_of(who, control):
    ledger = PlayedLedger(control)
    async with Share(ledger, who, draw=lambda: 1.0, wall=asyncio.get_running_loop().time) as gate:
        yield gate, ledger
    assert ledger.closed


async def waits(gate, seconds=5.0, wanted=1):
    """Whether no permit comes within that time; a permit that comes is given back."""
    try:
        permit = await asyncio.wait_for(gate.permit(wanted), seconds)
    except TimeoutError:
        return True
    await permit.settle(0)
    return False


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


# -- a control item that is lost ---------------------------------------------------------------------------------------

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


def test_a_hard_rollback_stops_nothing_that_stable_has_taken():
    async def story():
        async with share_of(STABLE, SHARED) as (gate, ledger):
            permit = await gate.permit(1)
            ledger.control = replace(SHARED, version=3, share=0.0, epoch=9, min_epoch=9)
            await asyncio.sleep(3)
            assert not gate.is_stopped(permit.epoch)

    play(story())


# -- yielding ----------------------------------------------------------------------------------------------------------


def took(before):
    return asyncio.get_running_loop().time() - before


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


# -- reports -----------------------------------------------------------------------------------------------------------


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
