"""A source's heartbeat: a series that never rests tells a service that nobody calls from a pipeline that is dead.

It is asked only where a look found nothing, or before the first weight, and one answer does for all Releases.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from controller.api.reasons import Reason
from controller.api.times import as_datetime
from controller.ports import BrokenMetricError, MetricProvider, Query, SourceOutageError, Window
from controller.rollout.observation import MetricTrouble


@dataclass
class Heartbeat:
    source: str
    """NAMESPACE/NAME of the MetricSource."""
    provider: MetricProvider
    query: Query
    max_age: float
    """Seconds without any row after which the source is out."""
    _read_at: float = 0.0
    _trouble: MetricTrouble | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def trouble(self, now: float, every: float) -> MetricTrouble | None:
        """None while it beats. Whoever asks again within `every` seconds gets the same answer."""
        async with self._lock:
            if now - self._read_at >= every:
                self._trouble = await self._ask(now)
                self._read_at = now
            return self._trouble

    async def _ask(self, now: float) -> MetricTrouble | None:
        window = Window(as_datetime(now - self.max_age), as_datetime(now))
        try:
            beats = await self.provider.has_rows(self.query, window)
        except SourceOutageError as error:
            return MetricTrouble(Reason.SOURCE_OUTAGE, f"heartbeat of MetricSource {self.source}: {error}")
        except BrokenMetricError as error:
            return MetricTrouble(Reason.METRIC_BROKEN, f"heartbeat of MetricSource {self.source}: {error}")
        if beats:
            return None
        silent = f"no heartbeat for {self.max_age:g} s, so an idle service cannot be told from an outage"
        return MetricTrouble(Reason.SOURCE_OUTAGE, f"MetricSource {self.source}: {silent}")
