"""A work queue with client-go's semantics.

A key that is added while it waits is there once; added while it is being worked on, it comes again afterwards, so
no two workers ever hold the same key and no event is lost. Failures come back with a back-off of their own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from controller.backoff import delay_s, not_before_s

K = TypeVar("K", bound=Hashable)
_LEAST_S = 1e-3


class WorkQueue(Generic[K]):
    """One event loop's; times are that loop's monotonic clock."""

    def __init__(self) -> None:
        self._ready: deque[K] = deque()
        self._waiting: set[K] = set()
        self._active: set[K] = set()
        self._again: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._not_before: dict[K, float] = {}
        self._arrived = asyncio.Event()
        self._finished_at = 0.0
        self._taken_at = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def active(self) -> int:
        return len(self._active)

    @property
    def unfinished_since(self) -> float | None:
        """Since when there have been keys, and none was finished; None while there are none. By the loop's clock."""
        return self._finished_at if self._waiting or self._active else None

    @property
    def untaken_since(self) -> float | None:
        """Since when keys have waited for a worker, and none was taken; None while none waits. By the loop's clock."""
        return self._taken_at if self._waiting else None

    def add(self, key: K) -> None:
        if key in self._active:
            self._again.add(key)
            return
        if key in self._waiting:
            return
        left = self._not_before.get(key, 0.0) - asyncio.get_running_loop().time()
        if left > 0:
            self.add_after(key, left)
            return
        self._not_before.pop(key, None)
        self._cancel_timer(key)
        # the time without keys counts for nobody
        if not self._waiting:
            self._taken_at = asyncio.get_running_loop().time()
            if not self._active:
                self._finished_at = self._taken_at
        self._waiting.add(key)
        self._ready.append(key)
        self._arrived.set()

    def add_after(self, key: K, seconds: float) -> None:
        """The earliest of several timers for a key counts. Less than a millisecond is one."""
        if seconds <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        # what floats lose of a moment leaves 1e-15 s: the clock would not move, and pass follow pass
        due = loop.time() + max(seconds, _LEAST_S)
        timer = self._timers.get(key)
        if timer is not None and timer.when() <= due:
            return
        self._cancel_timer(key)
        self._timers[key] = loop.call_at(due, self._timer_rang, key)

    def add_failed(self, key: K, *, not_before: float = 0.0) -> float:
        """Comes back later each time. Returns the delay.

        `not_before`: seconds for which nothing brings it back, events neither: the server asked for them.
        """
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = delay_s(failures)
        if not_before > 0:
            delay = max(delay, not_before_s(not_before))
            self._not_before[key] = asyncio.get_running_loop().time() + not_before
        self.add_after(key, delay)
        return delay

    def forget_failures(self, key: K) -> None:
        self._failures.pop(key, None)

    async def get(self) -> K:
        """Whoever got a key calls `finish` with it, whatever happened."""
        while not self._ready:
            self._arrived.clear()
            await self._arrived.wait()
        key = self._ready.popleft()
        self._taken_at = asyncio.get_running_loop().time()
        self._waiting.discard(key)
        self._active.add(key)
        return key

    def finish(self, key: K) -> None:
        self._active.discard(key)
        self._finished_at = asyncio.get_running_loop().time()
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _timer_rang(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _cancel_timer(self, key: K) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
