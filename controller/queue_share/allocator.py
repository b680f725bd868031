"""Keeps the share ledgers: a round of credits every half second, for each queue that a canary has a part of.

The leader alone does this. A round that fails costs the canary half a second; what it is owed stays in the totals.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from controller.queue_share.ledger import LASTS_S, ROUND_S, Ledger, Pod, allocate
from controller.queue_share.ports import (
    FORGOTTEN_S,
    Change,
    LedgerAwayError,
    LedgerPlace,
    LedgerStore,
    Report,
    Stored,
)
from controller.queue_share.starvation import UnusedCredits, after_round

_LOG = logging.getLogger(__name__)
_ROUND_AT_MOST_S = 8.0
_UNSEEN_S = 60.0
"""A ledger that a pass has used since then is kept, although its Release was not in a list that is older."""
_TRIES = 10
"""A round of our own may come between a read and its write, and so may a consumer's report."""


@dataclass
class _Watched:
    """A ledger, and what was seen of its consumers."""

    place: LedgerPlace
    used_at: float
    """When a pass over its Release last used it, on this process's own clock."""
    active: bool = False
    """The canary has a share."""
    busy: bool = False
    reachable: bool = True
    seen: dict[str, tuple[int, float]] = field(default_factory=dict)
    """By consumer, the last sequence number and when it was new, on this process's own clock."""
    unused: UnusedCredits = field(default_factory=UnusedCredits)


class Allocators:
    """The ledgers of this installation, and who allocates their credits: `context.service(Allocators)`, for a router.

    `connect` opens the store that a place lies in.
    """

    def __init__(
        self,
        connect: Callable[[LedgerPlace], Awaitable[LedgerStore]],
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connect = connect
        self._clock = clock
        self._monotonic = monotonic
        self._stores: dict[tuple[str, str], LedgerStore] = {}
        self._opening = asyncio.Lock()
        self._watched: dict[str, _Watched] = {}
        """By service: a Release has one ledger, and another place for it replaces the one before."""
        self.term = 0
        """Which leader this is: what a later one has written is not written over."""
        self.may_write: Callable[[], bool] = lambda: True
        """Asked right before each write: a leader that was frozen finds out here."""

    @property
    def now(self) -> float:
        """Epoch seconds, by the clock that ledgers are written with."""
        return self._clock()

    async def read(self, place: LedgerPlace) -> Ledger | None:
        """Raises LedgerAwayError."""
        watched = self._used(place)
        stored = await (await self._store(place)).read(place.service)
        if stored is not None:
            watched.active = stored.ledger.share > 0
        return None if stored is None else stored.ledger

    async def change(self, place: LedgerPlace, change: Change) -> bool:
        """True when something had to be written. Raises LedgerAwayError."""
        watched = self._used(place)
        store = await self._store(place)
        for _ in range(_TRIES):
            stored = await store.read(place.service)
            pods = self._pods(watched, await store.reports(place.service))
            before = None if stored is None else stored.ledger
            wanted = change(before, pods, self._clock())
            watched.active = wanted.share > 0
            if wanted == before:
                return False
            if await self._write(store, place, wanted, stored):
                return True
        raise LedgerAwayError(f"another program keeps writing the share ledger of {place.service}")

    def unused_credits_s(self, place: LedgerPlace) -> float:
        """For how long the canary has had credits that it did not use, while others had work."""
        return self._used(place).unused.seconds

    def place_of(self, service: str) -> LedgerPlace | None:
        """Where its ledger lies, as far as this process has used it."""
        watched = self._watched.get(service)
        return None if watched is None else watched.place

    def leave(self, service: str) -> None:
        """It is not allocated for any longer."""
        watched = self._watched.get(service)
        if watched is not None:
            self._forget(watched)

    async def retain(self, services: Collection[str]) -> None:
        """Forgets the ledgers of Releases that are gone, and closes stores that no ledger uses."""
        now = self._monotonic()
        for watched in list(self._watched.values()):
            if watched.place.service not in services and now - watched.used_at > _UNSEEN_S:
                self._forget(watched)
        used = {_store_of(watched.place) for watched in self._watched.values()}
        for at in self._stores.keys() - used:
            await self._stores.pop(at).close()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as rounds:
            while True:
                for watched in list(self._watched.values()):
                    if watched.active and not watched.busy:
                        watched.busy = True
                        rounds.create_task(self._round_or_log(watched))
                await asyncio.sleep(ROUND_S)

    async def close(self) -> None:
        for store in self._stores.values():
            await store.close()
        self._stores.clear()

    async def _round_or_log(self, watched: _Watched) -> None:
        try:
            async with asyncio.timeout(_ROUND_AT_MOST_S):
                await self.round(watched.place)
            watched.reachable = True
        except (LedgerAwayError, TimeoutError) as error:
            if watched.reachable:
                watched.reachable = False
                _LOG.warning("no credits for the canary of %s: %s", watched.place.service, error or "no answer")
        except Exception:  # noqa: BLE001 - what a consumer wrote into its ledger must not end the rounds of all others
            if watched.reachable:
                watched.reachable = False
                _LOG.exception("no credits for the canary of %s", watched.place.service)
        finally:
            watched.busy = False

    async def round(self, place: LedgerPlace) -> None:
        """Credits for what was claimed since the last one. Raises LedgerAwayError."""
        watched = self._watched.get(place.service)
        if watched is None or watched.place != place:
            return
        store = await self._store(place)
        stored = await store.read(place.service)
        if stored is None or stored.ledger.share <= 0:
            watched.active = False
            return
        pods = self._pods(watched, await store.reports(place.service))
        ledger = allocate(stored.ledger, pods, self._clock(), LASTS_S)
        watched.unused = after_round(watched.unused, stored.ledger, pods, self._monotonic())
        # refused: the share was changed meanwhile, and the next round goes by that
        await self._write(store, place, ledger, stored)

    async def _write(self, store: LedgerStore, place: LedgerPlace, ledger: Ledger, over: Stored | None) -> bool:
        if not self.may_write():
            raise LedgerAwayError(
                f"the share ledger of {place.service} was not written; another operator may be the leader"
            )
        version = 0 if over is None else over.version
        return await store.write(place.service, ledger, over=version, term=self.term)

    def _pods(self, watched: _Watched, reports: Sequence[Report]) -> Mapping[str, Pod]:
        """By sequence numbers and our own clock, because theirs may say anything. A long silent consumer is gone."""
        now, wall = self._monotonic(), self._clock()
        before, watched.seen = watched.seen, {}
        for report in reports:
            seq, since = before.get(report.consumer, (-1, now))
            watched.seen[report.consumer] = (report.seq, now if report.seq > seq else since)
        return {
            report.consumer: Pod(
                report.revision,
                report.claims,
                seen_at=wall - (now - watched.seen[report.consumer][1]),
                waiting=report.waiting,
            )
            for report in reports
            if now - watched.seen[report.consumer][1] <= FORGOTTEN_S
        }

    async def _store(self, place: LedgerPlace) -> LedgerStore:
        at = _store_of(place)
        if at not in self._stores:
            async with self._opening:
                if at not in self._stores:
                    self._stores[at] = await self._connect(place)
        return self._stores[at]

    def _used(self, place: LedgerPlace) -> _Watched:
        watched = self._watched.get(place.service)
        if watched is not None and watched.place != place:
            self._forget(watched)
            watched = None
        if watched is None:
            watched = self._watched[place.service] = _Watched(place, self._monotonic())
        watched.used_at = self._monotonic()
        return watched

    def _forget(self, watched: _Watched) -> None:
        del self._watched[watched.place.service]
        store = self._stores.get(_store_of(watched.place))
        if store is not None:
            store.forget(watched.place.service)


def _store_of(place: LedgerPlace) -> tuple[str, str]:
    return place.table, place.region
