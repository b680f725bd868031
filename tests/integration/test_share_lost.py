"""A control item that is lost while a queue is shared, in both kinds of ledger."""

import asyncio
from contextlib import asynccontextmanager, suppress

import boto3
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from controller.ledgers.dynamodb import DynamoLedgers
from controller.ledgers.memory import MemoryLedgers
from controller.share_api import ShareApi
from tests.beside import beside
from tests.share_operator import CANARY, STABLE, ShareOperator
from workloads.common.share_settings import gate

pytest_plugins = ["tests.integration.aws_fixture"]

SERVICE = "shop/thumbnails"


class Lying:
    """Where the ledger lies: how workers come to it, and how its item is lost."""

    def __init__(self, address, operator, lose):
        self.address, self.operator, self.lose = address, operator, lose

    @asynccontextmanager
    async def consumer(self, revision):
        environment = {"SHARE_LEDGER": self.address, "SERVICE_ID": SERVICE, "REVISION": revision, "POD": revision}
        async with gate(environment) as opened:
            yield opened


@pytest.fixture
async def in_dynamodb(ledger_table):
    def lose():
        key = {"service": {"S": SERVICE}, "item": {"S": "control"}}
        boto3.client("dynamodb").delete_item(TableName=ledger_table, Key=key)

    async with ShareOperator(DynamoLedgers(ledger_table), SERVICE).running() as operator:
        yield Lying(f"dynamodb://{ledger_table}", operator, lambda: asyncio.to_thread(lose))


@pytest.fixture
async def at_the_operator():
    store = MemoryLedgers()
    app = web.Application()
    app.add_routes(ShareApi(store, leads=lambda: True).routes())
    async with TestServer(app) as server, ShareOperator(store, SERVICE).running() as operator:
        # as when it starts again
        yield Lying(f"http://127.0.0.1:{server.port}", operator, store.close)


@pytest.fixture(params=["in_dynamodb", "at_the_operator"])
def ledger(request):
    return request.getfixturevalue(request.param)


async def claims(gate, seconds):
    """How many messages it takes in that time of a queue that always has one."""
    count = 0

    async def work():
        nonlocal count
        while True:
            permit = await gate.permit(1)
            count += await permit.settle(1)
            await asyncio.sleep(0.02)

    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await work()
    return count


async def begins(canary, stable):
    """Once stable has made credits for it."""
    async with beside(claims(stable, 60.0)), asyncio.timeout(10):
        await (await canary.permit(1)).settle(0)


async def test_with_its_item_lost_stable_works_on_and_the_canary_stops(ledger):
    await ledger.operator.weights(canary=50.0)
    async with ledger.consumer(STABLE) as stable, ledger.consumer(CANARY) as canary:
        await begins(canary, stable)
        await ledger.lose()
        of_stable, of_canary = await asyncio.gather(claims(stable, 1.5), claims(canary, 1.5))
        assert (of_stable > 20, of_canary) == (True, 0)
        await ledger.operator.weights(canary=50.0)
        await begins(canary, stable)


async def test_a_fresh_pod_waits_for_the_item_and_starts_within_two_seconds_of_it(ledger):
    async with ledger.consumer(STABLE) as stable, ledger.consumer(CANARY) as unknown:
        asking = asyncio.create_task(stable.permit(1))
        assert await asyncio.gather(claims(unknown, 1.5), asyncio.wait([asking], timeout=1.5)) == [0, (set(), {asking})]
        await ledger.operator.weights(canary=0.0)
        async with asyncio.timeout(2):
            await (await asking).settle(0)
        assert await claims(unknown, 1.0) == 0
