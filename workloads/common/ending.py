"""How tasks that go on for ever end: never silently."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from workloads.common.backoff import Pauses

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


async def restarted(
    name: str, run: Callable[[], Awaitable[object]], *, again_s: tuple[float, float] = (1.0, 60.0)
) -> None:
    """Runs it until it returns or is cancelled. A defect that ends it is logged, and it begins again after a pause.

    For what serves the work but is not the work, such as telemetry: its defect must not end the process.
    """
    pauses = Pauses(*again_s)
    while True:
        try:
            await run()
        except Exception:
            log.exception("%s failed and begins again in about %.0f s", name, pauses.longest_next_s)
        else:
            return
        await asyncio.sleep(pauses.next_s())


def log_defect(task: "asyncio.Task[Any]") -> None:
    """A done callback: whoever awaits the task may do so hours later, or never."""
    if not task.cancelled() and (problem := task.exception()) is not None:
        log.error("%s ended with a defect", task.get_name(), exc_info=problem)
