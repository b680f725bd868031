"""A ledger that is throttled, gone, silent, or answers twice, too late or not at all: on both sides of it."""

import asyncio
import random
import time
from collections import Counter
from contextlib import nullcontext

import pytest

from controller.queue_share.ports import LedgerAwayError
from tests.beside import beside
from tests.integration.between import Trouble
from tests.integration.shared_queue import SERVICE, begins, claim, claims
from tests.share_operator import CANARY, STABLE

pytest_plugins = ["tests.integration.aws_fixture", "tests.integration.share_fixture"]

WRITES = {"UpdateItem", "PUT", "PutItem"}


def always(trouble):
    return lambda _: trouble


def of_writes(trouble):
    return lambda asked: trouble if asked in WRITES else Trouble.NONE


async def until(met, seconds=10.0):
    async with asyncio.timeout(seconds):
        while not await met():  # noqa: ASYNC110 - a server that tells nobody
            await asyncio.sleep(0.05)


# -- consumers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", [Trouble.THROTTLED, Trouble.GONE, Trouble.SILENT], ids=lambda one: one.name)
async def test_stable_works_on_and_the_canary_stops_until_the_ledger_answers_again(queue, trouble):
    await queue.operator.weights(canary=50.0)
    async with queue.consumer(STABLE) as stable, queue.consumer(CANARY) as canary:
        await begins(canary, stable)
        queue.consumers_net.trouble = always(trouble)
        queue.consumers_net.asked.clear()
        counted, seconds = Counter[str](), 0
        while counted["stable"] <= 15 and seconds < 10:  # a second will do, but on a busy machine
            of_stable, of_canary = await asyncio.gather(claims(stable, 1.0), claims(canary, 1.0))
            counted += Counter(stable=of_stable, canary=of_canary)
            seconds += 1
        assert (counted["stable"] > 15, counted["canary"]) == (True, 0)
        writes = sum(queue.consumers_net.asked.count(one) for one in WRITES)
        assert writes <= 10 * seconds, "of two consumers, two reports at most, with one try more each"
        queue.consumers_net.trouble = always(Trouble.NONE)
        await begins(canary, stable)


@pytest.mark.parametrize("trouble", [Trouble.DOUBLED, Trouble.LOST, Trouble.LATE], ids=lambda one: one.name)
async def test_a_report_counts_once_however_often_it_arrives(queue, trouble):
    async def reported(claims):
        return [report.claims for report in await queue.store.reports(SERVICE)] == [claims]

    await queue.operator.weights(canary=0.0)
    async with queue.consumer(STABLE) as stable:
        await (await stable.permit(3)).settle(3)
        queue.consumers_net.trouble = of_writes(trouble)
        await (await stable.permit(4)).settle(4)
        await until(lambda: reported(7))
        queue.consumers_net.trouble = always(Trouble.NONE)
        await (await stable.permit(1)).settle(1)
        await until(lambda: reported(8))


# -- the operator ------------------------------------------------------------------------------------------------------


async def test_what_the_operator_is_not_answered_is_said_well_before_credits_end(in_dynamodb):
    troubles = {"GetItem": Trouble.THROTTLED, "Query": Trouble.SILENT, "PutItem": Trouble.GONE}
    await in_dynamodb.operator.weights(canary=0.0)
    stored = await in_dynamodb.store.read(SERVICE)
    in_dynamodb.operators_net.trouble = troubles.__getitem__
    began = time.monotonic()
    said = await asyncio.gather(
        in_dynamodb.store.read(SERVICE),
        in_dynamodb.store.reports(SERVICE),
        in_dynamodb.store.write(SERVICE, stored.ledger, over=stored.version, term=1),
        return_exceptions=True,
    )
    assert time.monotonic() - began < 9
    assert [type(one) for one in said] == [LedgerAwayError] * 3
    throttled, silent, gone = map(str, said)
    assert "Throttl" in throttled or "RequestLimitExceeded" in throttled or "Throughput" in throttled
    assert "Read timeout" in silent
    assert "Connection" in gone
    assert Counter(in_dynamodb.operators_net.asked[-9:]) == dict.fromkeys(troubles, 3), "three tries each"


@pytest.mark.parametrize("trouble", [Trouble.DOUBLED, Trouble.LOST], ids=lambda one: one.name)
async def test_a_share_and_its_rollback_are_written_once_however_often_they_arrive(in_dynamodb, trouble):
    async def says(canary):
        # where no try is answered the router says so, and the next pass finds it written
        in_dynamodb.operators_net.trouble = of_writes(trouble)
        with pytest.raises(LedgerAwayError) if trouble is Trouble.LOST else nullcontext():
            await in_dynamodb.operator.weights(canary=canary)
        in_dynamodb.operators_net.trouble = always(Trouble.NONE)
        await in_dynamodb.operator.weights(canary=canary)
        return (await in_dynamodb.store.read(SERVICE)).ledger

    await in_dynamodb.operator.weights(canary=0.0)
    before = (await in_dynamodb.store.read(SERVICE)).ledger
    shared = await says(50.0)
    assert (shared.share, shared.epoch) == (0.5, before.epoch + 1)
    back = await says(0.0)
    assert (back.share, back.epoch, back.granted) == (0.0, before.epoch + 2, {})


# -- both --------------------------------------------------------------------------------------------------------------


async def test_in_all_troubles_at_once_the_canary_never_has_more_than_its_share(queue):
    chance = random.Random(7)  # noqa: S311 - weather
    weather = [Trouble.GONE, Trouble.LOST, Trouble.DOUBLED, Trouble.LATE, Trouble.THROTTLED]

    def storm(_):
        return chance.choice(weather) if chance.random() < 0.3 else Trouble.NONE

    taken: Counter[str] = Counter()

    def claimed(revision):
        taken[revision] += 1
        assert taken[CANARY] <= 0.5 * taken.total(), taken

    async def enough():
        return taken[CANARY] >= 20

    await queue.operator.weights(canary=50.0)
    for net in (queue.consumers_net, queue.operators_net):
        if net is not None:
            net.trouble = storm
    async with (
        queue.consumer(STABLE) as stable,
        queue.consumer(CANARY) as canary,
        beside(claim(stable, lambda: claimed(STABLE))),
        beside(claim(canary, lambda: claimed(CANARY))),
    ):
        await until(enough, 30)
