"""How a task that goes on for ever is ended."""

import asyncio
import logging
from typing import Any

log = logging.getLogger(__name__)


async def end(*tasks: "asyncio.Task[Any]", again_s: float = 5.0) -> None:
    """Cancels them, and after `again_s` those again that did not hear of it; returns when all have ended.

    A driver may turn a cancellation that comes in the same moment as an answer or a time-out into just that; a task
    that goes on for ever would then never end. What they raised is left to those who ask them.
    """
    waiting = set(tasks)
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=again_s)
        if waiting:
            log.warning("%s is told once more to end", ", ".join(sorted(task.get_name() for task in waiting)))
