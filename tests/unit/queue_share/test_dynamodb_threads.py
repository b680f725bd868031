"""Tables that do not answer: what they cost the operator, and the other tables."""

import asyncio
import threading

import boto3
import pytest

from controller.queue_share.stores.dynamodb import DynamoLedgers

TABLES = 60


class Client:
    """Answers once it may."""

    def __init__(self):
        self.may_answer = threading.Event()
        self.asked = 0

    def get_item(self, **_):
        self.asked += 1
        assert self.may_answer.wait(60)
        return {}

    def close(self):
        pass


@pytest.fixture
async def tables(monkeypatch):
    """Stores with their clients; all answer in the end."""
    made = [Client() for _ in range(TABLES)]
    left = iter(made)
    monkeypatch.setattr(boto3, "client", lambda *_, **__: next(left))
    stores = [DynamoLedgers(f"table-{number}") for number in range(TABLES)]
    yield list(zip(stores, made, strict=True))
    for client in made:
        client.may_answer.set()
    for store in stores:
        await store.close()


def threads():
    return sum(thread.name.startswith("ledger") for thread in threading.enumerate())


async def until(met):
    async with asyncio.timeout(30):
        while not met():  # noqa: ASYNC110 - threads, which tell nobody
            await asyncio.sleep(0.01)


async def test_sixty_tables_that_hang_do_not_make_480_threads(tables):
    asking = [asyncio.create_task(store.read("shop/web")) for store, _ in tables for _ in range(8)]
    await until(lambda: threads() >= 32)
    assert threads() == 32
    for _, client in tables:
        client.may_answer.set()
    assert await asyncio.gather(*asking) == [None] * len(asking)
    assert threads() == 32


async def test_a_table_that_hangs_leaves_threads_to_the_others(tables):
    (hangs, silent), (answers, well) = tables[:2]
    asking = [asyncio.create_task(hangs.read("shop/web")) for _ in range(100)]
    await until(lambda: silent.asked == 4)
    well.may_answer.set()
    async with asyncio.timeout(30):
        assert await answers.read("shop/web") is None
    assert silent.asked == 4
    silent.may_answer.set()
    await asyncio.gather(*asking)


async def test_a_table_that_hangs_gets_no_more_threads_when_nobody_waits_for_it_any_longer(tables):
    store, client = tables[0]
    for _ in range(10):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await store.read("shop/web")
    assert client.asked == 4
    client.may_answer.set()
    async with asyncio.timeout(30):
        assert await store.read("shop/web") is None
