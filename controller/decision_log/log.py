"""The operator's decision log: what passes, looks and events leave here goes out beside them.

Nothing here awaits, and nothing reads it back: a sink that hangs for ever delays no pass and no look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from controller.api.phase import Phase
from controller.api.status import Status
from controller.decision_log.entry import Entry, EventEntry, LookEntry, StatusEntry
from controller.decision_log.lane import Lane
from controller.kube.objects import Key
from controller.stats.counts import Look
from controller.stats.evidence import Evidence

_TICK_S = 60.0
_AT_REST_S = 900.0
"""How often a Release at which nothing happens is written again."""


@dataclass
class _Known:
    status: Status
    written_at: float


class DecisionLog:
    """One per process. Without lanes it costs nothing."""

    def __init__(self, lanes: Sequence[Lane], clock: Callable[[], float]) -> None:
        self._lanes = tuple(lanes)
        self._clock = clock
        self._known: dict[Key, _Known] = {}

    def status(self, key: Key, status: Status) -> None:
        """A pass has written `status`, or found it as it is to be."""
        if not self._lanes:
            return
        known = self._known.get(key)
        if known is not None and _shown(known.status) == _shown(status):
            known.status = status
            return
        now = self._clock()
        self._known[key] = _Known(status, now)
        self._offer(StatusEntry(key, status, now))

    def look(self, key: Key, status: Status, stable: str, look: Look, evidence: Evidence) -> None:
        """A look was made. `stable`: whose counts stand beside the canary's."""
        if self._lanes:
            self._offer(LookEntry(key, status.canary, stable, status.attempts, look, evidence))

    def event(self, key: Key, reason: str, message: str, *, warning: bool) -> None:
        if self._lanes:
            self._offer(EventEntry(key, reason, message, warning, self._clock()))

    def forget(self, key: Key) -> None:
        self._known.pop(key, None)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for lane in self._lanes:
                tasks.create_task(lane.run())
            while True:
                await asyncio.sleep(_TICK_S)
                self._write_again()

    async def flush(self, seconds: float) -> None:
        await asyncio.gather(*(lane.flush(seconds) for lane in self._lanes))

    def _write_again(self) -> None:
        now = self._clock()
        for key, known in self._known.items():
            every = _AT_REST_S if known.status.phase is Phase.HEALTHY else _TICK_S
            if now - known.written_at >= every - _TICK_S / 2:
                known.written_at = now
                self._offer(StatusEntry(key, known.status, now))

    def _offer(self, entry: Entry) -> None:
        for lane in self._lanes:
            lane.offer(entry)


def _shown(status: Status) -> object:
    """What boards show of it. The evidence has points of its own."""
    return (
        status.phase,
        status.reason,
        status.weight,
        status.baseline_weight,
        status.step,
        status.steps,
        status.stable,
        status.canary,
        status.attempts,
    )
