"""The operator's own allocator for one queue, without a Release: weights are set by the test."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from controller.queue_share.allocator import Allocators
from controller.queue_share.ledger import Wanted, towards
from controller.queue_share.ports import LedgerPlace, LedgerStore, Report
from tests.beside import beside

STABLE, CANARY = "v1", "v2"


class ShareOperator:
    """Closes the store."""

    def __init__(self, store: LedgerStore, service: str) -> None:
        self._store = store
        self._place = LedgerPlace(service)
        self._allocators = Allocators(self._here)

    async def _here(self, _: LedgerPlace) -> LedgerStore:
        return self._store

    @asynccontextmanager
    async def running(self) -> AsyncIterator["ShareOperator"]:
        try:
            async with beside(self._allocators.run()):
                yield self
        finally:
            await self._allocators.close()

    async def weights(self, *, canary: float, hard_stop: bool = False) -> None:
        """Percent. One conditional write, as the router `queue` makes it."""
        shares = {STABLE: 100 - canary, CANARY: canary} if canary else {STABLE: 100.0}
        await self._allocators.change(self._place, partial(towards, Wanted(shares, STABLE, hard_stop=hard_stop)))

    async def switch(self, *, marked: bool = True) -> None:
        """All of the work to the canary, which is not trusted yet. `marked`: as the ledger of 0.1.0 did not say."""
        wanted = Wanted({CANARY: 100.0}, STABLE, on_trial=CANARY if marked else "")
        await self._allocators.change(self._place, partial(towards, wanted))

    @property
    def unused_credits_s(self) -> float:
        """For how long the canary has left its credits unused."""
        return self._allocators.unused_credits_s(self._place)

    async def reports(self) -> Sequence[Report]:
        """As the consumers have made them."""
        return await self._store.reports(self._place.service)
