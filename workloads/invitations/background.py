"""What a process does beside answering requests. None of it ends by itself: if it does, the process has to go."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any

from workloads.common.ending import end

log = logging.getLogger(__name__)

Trouble = Callable[[], str]
"""Why the process should be started again, "" for no reason."""


@contextlib.asynccontextmanager
async def running(endless: Mapping[str, Coroutine[Any, Any, None]]) -> AsyncIterator[Trouble]:
    """By name. They are cancelled at the end of the block."""
    tasks = {name: asyncio.create_task(each, name=name) for name, each in endless.items()}

    def trouble() -> str:
        return ", ".join(f"{name} has ended" for name, task in tasks.items() if task.done())

    for task in tasks.values():
        task.add_done_callback(_tell)
    try:
        yield trouble
    finally:
        await end(*tasks.values())


def _tell(task: "asyncio.Task[None]") -> None:
    if not task.cancelled():
        log.error("%s has ended", task.get_name(), exc_info=task.exception())
