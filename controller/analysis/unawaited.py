"""Tasks that nothing awaits: without this, nothing would say that an error has ended one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from functools import partial
from typing import Any

_LOG = logging.getLogger(__name__)


def start(work: Coroutine[Any, Any, None], *, lost: str) -> asyncio.Task[None]:
    """`lost`: what is missing if an error ends it, for the log."""
    task = asyncio.create_task(work)
    task.add_done_callback(partial(_log_defect, lost))
    return task


def _log_defect(lost: str, task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (problem := task.exception()) is not None:
        _LOG.error(lost, exc_info=problem)
