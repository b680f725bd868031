"""Waiting for a condition with a deadline: the only way a test passes time."""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

POLL_S = 0.05


async def until(met: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    """The first true answer of `met`, which may be awaitable; AssertionError with the last one at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        answer = met()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what} (last answer: {answer!r})"
        await asyncio.sleep(POLL_S)
