"""Brings entries to one sink: in batches, bounded in memory, and never in anybody's way.

What waits is kept encoded, at most MOST_BYTES of it. While the sink is down the oldest is dropped for what is new:
boards are for people, and what counts stands in the status and in the AnalysisRuns.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from enum import StrEnum

from controller.backoff import delay_s
from controller.decision_log.entry import Entry, Sink, SinkDownError, SinkRefusedError
from controller.sending import Sending

_LOG = logging.getLogger(__name__)
MOST_ENTRIES = 20_000
"""That wait to be encoded, which happens each second: 10,000 Releases are logged at once when an operator starts."""
MOST_BYTES = 4 * 1024 * 1024
_GATHER_S = 1.0
_LONGEST_RETRY_S = 60.0
_TIMEOUT_S = 10.0
_IN_A_ROW = 200
"""Entries that are encoded before others get their turn."""


class Fate(StrEnum):
    WRITTEN = "written"
    DROPPED = "dropped"
    """Too old for what was to be kept while the sink was down, or refused by it."""


class Lane:
    def __init__(
        self, sink: Sink, counted: Callable[[str, Fate, int], object] = lambda *_: None, *, gather_s: float = _GATHER_S
    ) -> None:
        """`counted` is called with the sink's name, and of how much it is known what became of it."""
        self._sink = sink
        self._counted = counted
        self._gather_s = gather_s
        self._incoming: deque[Entry] = deque()
        self._encoded: deque[bytes] = deque()
        self._size = 0
        self._failures = 0
        self._not_before = 0.0
        self._arrived = asyncio.Event()
        self._sending = Sending()

    def __len__(self) -> int:
        return len(self._incoming) + len(self._encoded)

    def offer(self, entry: Entry) -> None:
        if len(self._incoming) >= MOST_ENTRIES:
            self._incoming.popleft()
            self._count(Fate.DROPPED, 1)
        self._incoming.append(entry)
        self._arrived.set()

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._arrived.wait()
            await asyncio.sleep(self._gather_s)
            self._arrived.clear()
            await self._encode()
            if loop.time() >= self._not_before:
                await self._sending.send(self._send())
            if self._encoded:
                self._arrived.set()

    async def flush(self, seconds: float) -> None:
        """Gives what still waits a last chance."""
        try:
            async with asyncio.timeout(seconds):
                await self._sending.finished()
                await self._encode()
                await self._send()
        except TimeoutError:
            _LOG.info("%s: %d entries were not written at the end", self._sink.name, len(self))
        await self._sink.close()

    async def _encode(self) -> None:
        count = 0
        while self._incoming:
            entry = self._incoming.popleft()
            try:
                lines = self._sink.encode(entry)
            except Exception:  # noqa: BLE001 - one that cannot be encoded must not keep back those after it
                _LOG.exception("%s: an entry of %s cannot be written", self._sink.name, entry.key)
                self._count(Fate.DROPPED, 1)
                continue
            for line in lines:
                self._encoded.append(line)
                self._size += len(line)
            while self._size > MOST_BYTES:
                self._size -= len(self._encoded.popleft())
                self._count(Fate.DROPPED, 1)
            count += 1
            if count % _IN_A_ROW == 0:
                await asyncio.sleep(0)

    async def _send(self) -> None:
        while self._encoded:
            batch = [self._encoded[index] for index in range(min(self._sink.most, len(self._encoded)))]
            try:
                async with asyncio.timeout(_TIMEOUT_S):
                    await self._sink.send(batch)
            except (SinkDownError, TimeoutError) as error:
                self._wait(str(error) or f"no answer within {_TIMEOUT_S:g} s")
                return
            except SinkRefusedError as error:
                _LOG.warning("%s does not take %d entries: %s", self._sink.name, len(batch), error)
                self._count(Fate.DROPPED, len(batch))
            except Exception:  # noqa: BLE001 - nothing of this may end the process that leads
                _LOG.exception("%s: %d entries were dropped", self._sink.name, len(batch))
                self._count(Fate.DROPPED, len(batch))
            else:
                if self._failures:
                    _LOG.info("%s is back", self._sink.name)
                self._failures = 0
                self._count(Fate.WRITTEN, len(batch))
            for _ in batch:
                self._size -= len(self._encoded.popleft())

    def _wait(self, why: str) -> None:
        delay = delay_s(self._failures, first_s=self._gather_s, longest_s=_LONGEST_RETRY_S)
        self._not_before = asyncio.get_running_loop().time() + delay
        if not self._failures:
            _LOG.warning("%s takes no entries, the latest are kept and tried again: %s", self._sink.name, why)
        self._failures += 1

    def _count(self, fate: Fate, number: int) -> None:
        self._counted(self._sink.name, fate, number)
