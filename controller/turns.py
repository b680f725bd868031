"""A few places that many want: groups take turns, so whoever asks a thousand times delays another by one turn."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator


class Turns:
    """An `asyncio.Semaphore` whose waiters come group by group, each group's in their order. One event loop's."""

    def __init__(self, places: int = 1) -> None:
        self._free = places
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        """By group, whose turn is next first; each has waiters."""

    @contextlib.asynccontextmanager
    async def turn(self, group: str) -> AsyncIterator[None]:
        await self._take(group)
        try:
            yield
        finally:
            self._pass_on()

    async def _take(self, group: str) -> None:
        if self._free:
            self._free -= 1
            return
        handed = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(group, deque()).append(handed)
        try:
            await handed
        except asyncio.CancelledError:
            if not handed.cancelled():
                self._pass_on()  # it was handed over and cancelled in one moment
            raise

    def _pass_on(self) -> None:
        """To the next group, which then stands behind the others. Who was cancelled meanwhile is passed over."""
        while self._waiting:
            group = next(iter(self._waiting))
            waiting = self._waiting.pop(group)
            while waiting and waiting[0].cancelled():
                waiting.popleft()
            if not waiting:
                continue
            handed = waiting.popleft()
            if waiting:
                self._waiting[group] = waiting
            handed.set_result(None)
            return
        self._free += 1
