"""What is on its way when its process ends."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Sending:
    """Of what one task sends, one after the other. A request that is broken off may have arrived or not: sent again it
    may be there twice, and not sent again it may be lost.
    """

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    async def send(self, work: Coroutine[Any, Any, None]) -> None:
        """`work` handles its own failures. It goes on when the caller is cancelled."""
        self._task = asyncio.create_task(work)
        await asyncio.shield(self._task)

    async def finished(self) -> None:
        """Until what was sent last has ended, which is broken off if the caller is cancelled meanwhile."""
        if self._task is not None:
            await self._task
