"""Tasks that work beside something, and end with it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any


@contextlib.asynccontextmanager
async def background(coroutines: list[Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Runs them beside the block. One that ends, with or without an error, ends the block with an error; the block's
    end cancels them.
    """
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(coroutine) for coroutine in coroutines]
        ends = group.create_task(_first_end(tasks))
        yield
        for task in (ends, *tasks):
            task.cancel()


async def _first_end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """A task that only returns would be missed by nobody: the group ends for errors alone."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    names = ", ".join(str(task.get_coro()) for task in done if not task.cancelled() and task.exception() is None)
    if names:
        raise RuntimeError(f"{names} ended unexpectedly")
