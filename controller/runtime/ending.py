"""How a process is ended: by SIGTERM, as a pod is, or by SIGINT at a terminal.

The first process of a container hears no signal that it has no handler for, and is killed 30 s later. One that stands
by has to hear them too: else it takes over from the one that ends beside it, and is killed while it leads.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_handler: ContextVar[Callable[[], object] | None] = ContextVar("_handler", default=None)


@contextmanager
def on_signal(end: Callable[[], object]) -> Iterator[None]:
    """Either signal calls it while the block runs; afterwards whoever is around the block hears them again."""
    loop = asyncio.get_running_loop()
    before = _handler.get()
    _handler.set(end)
    for each in _SIGNALS:
        loop.add_signal_handler(each, end)
    try:
        yield
    finally:
        _handler.set(before)
        for each in _SIGNALS:
            if before is None:
                loop.remove_signal_handler(each)
            else:
                loop.add_signal_handler(each, before)


async def until_signal(work: Coroutine[Any, Any, None]) -> None:
    """Does the work. A signal cancels it wherever it is, unless it hears signals itself just then."""
    signaled = False

    def end() -> None:
        nonlocal signaled
        signaled = True
        task.cancel()

    with on_signal(end):
        task = asyncio.create_task(work)
        try:
            await task
        except asyncio.CancelledError:
            if not signaled:
                raise
