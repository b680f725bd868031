"""Shared queues, with the ledger in each place that it can have."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import boto3
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from controller.kube.callers import NOBODY, Caller
from controller.queue_share.http import ShareApi
from controller.queue_share.stores.dynamodb import DynamoLedgers, control_key
from controller.queue_share.stores.memory import MemoryLedgers
from hack.node.aws import LocalAws
from tests.integration.between import Between
from tests.integration.shared_queue import SERVICE, SharedQueue
from tests.share_operator import ShareOperator


@pytest.fixture
async def in_dynamodb(
    local_aws: LocalAws, ledger_table: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SharedQueue]:
    client = boto3.client("dynamodb")
    key = control_key(SERVICE)
    async with AsyncExitStack() as stack:
        operators = await stack.enter_async_context(Between(local_aws.url).running())
        consumers = await stack.enter_async_context(Between(local_aws.url).running())
        monkeypatch.setenv("AWS_ENDPOINT_URL", operators.url)
        store = DynamoLedgers(ledger_table)
        monkeypatch.setenv("AWS_ENDPOINT_URL", consumers.url)
        yield SharedQueue(
            environment={"SHARE_LEDGER": f"dynamodb://{ledger_table}"},
            store=store,
            operator=await stack.enter_async_context(ShareOperator(store, SERVICE).running()),
            lose=lambda: asyncio.to_thread(client.delete_item, TableName=ledger_table, Key=key),
            consumers_net=consumers,
            operators_net=operators,
        )


@pytest.fixture
async def at_the_operator(tmp_path: Path) -> AsyncIterator[SharedQueue]:
    store = MemoryLedgers()
    token = tmp_path / "token"
    token.write_text("of-shop")

    async def caller_of(shown: str, _: str) -> Caller:
        return Caller("shop", "system:serviceaccount:shop:worker") if shown == token.read_text() else NOBODY

    async def may_report(*_: object) -> bool:
        return True

    app = web.Application()
    app.add_routes(ShareApi(store, leads=lambda: True, caller_of=caller_of, may_report=may_report).routes())
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(TestServer(app))
        consumers = await stack.enter_async_context(Between(f"http://127.0.0.1:{server.port}").running())
        yield SharedQueue(
            environment={"SHARE_LEDGER": consumers.url, "SHARE_LEDGER_TOKEN_FILE": str(token)},
            store=store,
            operator=await stack.enter_async_context(ShareOperator(store, SERVICE).running()),
            lose=store.close,  # as when the operator starts again
            consumers_net=consumers,
            operators_net=None,
        )


@pytest.fixture(params=["in_dynamodb", "at_the_operator"])
def queue(request: pytest.FixtureRequest) -> SharedQueue:
    found: SharedQueue = request.getfixturevalue(request.param)
    return found
