"""Keeps the share ledgers: a round of credits every half second, for each queue that a canary has a part of.

The leader alone does this. A round that fails costs the canary half a second; what it is owed stays in the totals.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from controller.ports import Change, LedgerAwayError, LedgerPlace, LedgerStore, Report, Stored
from controller.queue_share.ledger import LASTS_S, ROUND_S, Ledger, Pod, allocate
from controller.queue_share.starvation import Hunger, after_round

_LOG = logging.getLogger(__name__)
_ROUND_AT_MOST_S = 8.0
_TRIES = 10
"""A round of our own may come between a read and its write, and so may a consumer's report."""


@dataclass
class _Watched:
    """A ledger, and what was seen of its consumers."""

    place: LedgerPlace
    active: bool = False
    """The canary has a share."""
    busy: bool = False
    reachable: bool = True
    seen: dict[str, tuple[int, float]] = field(default_factory=dict)
    """By consumer, the last sequence number and when it was new, on this process's own clock."""
    hunger: Hunger = field(default_factory=Hunger)


class Allocators:
    """Fulfils `ports.Ledgers`. `connect` opens the store that a place lies in."""

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
        self._watched: dict[LedgerPlace, _Watched] = {}
        self.term = 0
        """Which leader this is: what a later one has written is not written over."""
        self.may_write: Callable[[], bool] = lambda: True
        """Asked right before each write: a leader that was frozen finds out here."""

    async def read(self, place: LedgerPlace) -> Ledger | None:
        store = await self._store(place)
        stored = await store.read(place.service)
        if stored is not None:
            self._watch(place).active = stored.ledger.share > 0
        return None if stored is None else stored.ledger

    async def change(self, place: LedgerPlace, change: Change) -> bool:
        store, watched = await self._store(place), self._watch(place)
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
        raise LedgerAwayError(f"the share ledger of {place.service} is written by somebody else again and again")

    def starved_s(self, place: LedgerPlace) -> float:
        return self._watch(place).hunger.seconds

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as rounds:
            while True:
                for watched in self._watched.values():
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
        store, watched = await self._store(place), self._watch(place)
        stored = await store.read(place.service)
        if stored is None or stored.ledger.share <= 0:
            watched.active = False
            return
        pods = self._pods(watched, await store.reports(place.service))
        ledger = allocate(stored.ledger, pods, self._clock(), LASTS_S)
        watched.hunger = after_round(watched.hunger, stored.ledger, pods, self._monotonic())
        # refused: the share was changed meanwhile, and the next round goes by that
        await self._write(store, place, ledger, stored)

    async def _write(self, store: LedgerStore, place: LedgerPlace, ledger: Ledger, over: Stored | None) -> bool:
        if not self.may_write():
            raise LedgerAwayError(f"the share ledger of {place.service} was not written: another operator may lead")
        version = 0 if over is None else over.version
        return await store.write(place.service, ledger, over=version, term=self.term)

    def _pods(self, watched: _Watched, reports: Sequence[Report]) -> Mapping[str, Pod]:
        """When each was heard of last goes by its sequence number and our clock: theirs may say anything."""
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
        }

    async def _store(self, place: LedgerPlace) -> LedgerStore:
        at = (place.table, place.region)
        if at not in self._stores:
            async with self._opening:
                if at not in self._stores:
                    self._stores[at] = await self._connect(place)
        return self._stores[at]

    def _watch(self, place: LedgerPlace) -> _Watched:
        return self._watched.setdefault(place, _Watched(place))
