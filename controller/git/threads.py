"""Work on foreign YAML beside the event loop, which ends with whoever waits for it.

A thread cannot be cancelled: one that parses 32 MiB goes on for minutes after its time-out, and takes the loop's time.
So it looks, at each node, whether anybody still waits.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_GIVEN_UP: ContextVar[threading.Event | None] = ContextVar("given_up", default=None)


class GivenUpError(BaseException):
    """Nobody waits for the result. No handler of ordinary trouble catches it."""


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What it returns. Where this is cancelled, the function ends at its next `check_wanted`."""
    given_up = threading.Event()

    def work() -> T:
        check_wanted()
        return function(*args, **kwargs)

    token = _GIVEN_UP.set(given_up)
    try:
        return await asyncio.to_thread(work)
    finally:
        given_up.set()
        _GIVEN_UP.reset(token)


def check_wanted() -> None:
    """Raises GivenUpError in a thread for which nobody waits."""
    given_up = _GIVEN_UP.get()
    if given_up is not None and given_up.is_set():
        raise GivenUpError
