"""A shared queue as a test has it: its ledger and operator, its consumers, and the network between."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from controller.queue_share.ports import LedgerStore
from tests.beside import beside
from tests.integration.between import Between
from tests.share_operator import ShareOperator
from workloads.common.gate import Gate
from workloads.common.share_settings import gate

SERVICE = "shop/thumbnails"


@dataclass(frozen=True)
class SharedQueue:
    environment: Mapping[str, str]
    """Of consumers: where the ledger is."""
    store: LedgerStore
    operator: ShareOperator
    lose: Callable[[], Awaitable[Any]]
    """The control item."""
    consumers_net: Between
    operators_net: Between | None
    """None where the ledger lies in the operator itself."""

    @asynccontextmanager
    async def consumer(self, revision: str) -> AsyncIterator[Gate]:
        environment = {**self.environment, "SERVICE_ID": SERVICE, "REVISION": revision, "POD": revision}
        async with gate(environment) as opened:
            yield opened


async def claim(gate: Gate, claimed: Callable[[], None]) -> None:
    """Messages of a queue that always has one, as fast as one consumer can."""
    while True:
        permit = await gate.permit(1)
        if await permit.settle(1):
            claimed()
        await asyncio.sleep(0.02)


async def claims(gate: Gate, seconds: float) -> int:
    """How many messages it takes in that time."""
    count = 0

    def claimed() -> None:
        nonlocal count
        count += 1

    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await claim(gate, claimed)
    return count


async def begins(canary: Gate, stable: Gate) -> None:
    """Once stable has made credits for it."""
    async with beside(claim(stable, lambda: None)), asyncio.timeout(10):
        await (await canary.permit(1)).settle(0)
