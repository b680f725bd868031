"""What goes on beside a benchmark. A task that fails ends the benchmark at once, and not at its deadline."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def meanwhile(*endless: Coroutine[Any, Any, Any]) -> AsyncIterator[None]:
    """Runs them beside the block, whose end cancels them. One that ends first ends the block, with its error."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_never_ending(each)) for each in endless]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
    except BaseExceptionGroup as problems:
        if len(problems.exceptions) == 1:
            raise problems.exceptions[0] from None
        raise
    finally:
        for each in endless:
            each.close()  # where the block ended before it began


async def _never_ending(endless: Coroutine[Any, Any, Any]) -> None:
    await endless
    raise RuntimeError(f"{getattr(endless, '__qualname__', endless)} ended before the benchmark")
