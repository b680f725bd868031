"""A few places that many want: groups take turns, so whoever asks a thousand times delays another by one turn."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterator


class Turns:
    """An `asyncio.Semaphore` whose waiters come group by group, each group's in their order. One event loop's."""

    def __init__(self, places: int = 1, *, of_one: int | None = None) -> None:
        """`of_one`: places that one group may have at once; None: all."""
        self._free = places
        self._of_one = places if of_one is None else of_one
        self._taken: Counter[str] = Counter()
        """Places by group."""
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        """By group, whose turn is next first; each has waiters."""

    @contextlib.asynccontextmanager
    async def turn(self, group: str) -> AsyncIterator[None]:
        await self._take(group)
        try:
            yield
        finally:
            self._give_back(group)

    async def _take(self, group: str) -> None:
        if self._may(group):
            self._hand_out(group)
            return
        handed = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(group, deque()).append(handed)
        try:
            await handed
        except asyncio.CancelledError:
            if not handed.cancelled():
                self._give_back(group)  # it was handed over and cancelled in one moment
            raise

    def _may(self, group: str) -> bool:
        return self._free > 0 and self._taken[group] < self._of_one

    def _hand_out(self, group: str) -> None:
        self._free -= 1
        self._taken[group] += 1

    def _give_back(self, group: str) -> None:
        """To the next group that may have it, which then stands behind the others. Who was cancelled is passed over."""
        self._free += 1
        self._taken[group] -= 1
        self._taken += Counter()  # forgets those without a place
        for one in list(self._waiting):
            if not self._may(one):
                continue
            waiting = self._waiting.pop(one)
            while waiting and waiting[0].cancelled():
                waiting.popleft()
            if not waiting:
                continue
            handed = waiting.popleft()
            if waiting:
                self._waiting[one] = waiting
            self._hand_out(one)
            handed.set_result(None)
            return
