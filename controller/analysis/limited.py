"""Bounds how many queries a source gets at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence

from controller import registry
from controller.api.alerts import FiringAlert
from controller.ports import (
    AlertSource,
    BrokenMetricError,
    MetricProvider,
    NoData,
    Query,
    Samples,
    SourceOutageError,
    Window,
)

AT_ONCE = 16
"""Questions to one source at once; the others wait for their turn."""
_LONGEST_S = 75.0
"""More than any time-out that a source may have: one that keeps to none frees its place all the same."""


class Limited:
    """A provider with a bound on queries at once: a source that hangs delays its own Releases and no others."""

    def __init__(self, provider: MetricProvider, at_once: int = AT_ONCE) -> None:
        self._provider = provider
        self._places = asyncio.Semaphore(at_once)

    async def query(self, query: Query, window: Window) -> Samples | NoData:
        async with self._place():
            return await self._provider.query(query, window)

    async def has_rows(self, query: Query, window: Window) -> bool:
        async with self._place():
            return await self._provider.has_rows(query, window)

    async def firing(self, labels: Mapping[str, str]) -> Sequence[FiringAlert]:
        """Raises BrokenMetricError where the system has no alerts."""
        if not isinstance(self._provider, AlertSource):
            kinds = " or ".join(registry.kinds_with_alerts())
            raise BrokenMetricError(f"it has no alerts; name a source of kind {kinds}")
        async with self._place():
            return await self._provider.firing(labels)

    @contextlib.asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        async with self._places:
            try:
                async with asyncio.timeout(_LONGEST_S):
                    yield
            except TimeoutError as error:
                raise SourceOutageError(f"no answer within {_LONGEST_S:g} s") from error

    async def close(self) -> None:
        await self._provider.close()
