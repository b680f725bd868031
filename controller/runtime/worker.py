"""A worker: takes keys one after the other until it is cancelled. No failure ends it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from controller.kube.client import ConflictError, KubeError
from controller.kube.objects import Key
from controller.runtime.reconciler import Reconciler
from controller.workqueue import WorkQueue

_LOG = logging.getLogger(__name__)

Finished = Callable[[str], None]
"""Told how each reconcile ended: done, conflict, failed or crashed."""


async def work(queue: WorkQueue[Key], reconciler: Reconciler, finished: Finished) -> None:
    while True:
        key = await queue.get()
        try:
            finished(await _one(queue, reconciler, key))
        finally:
            queue.finish(key)


async def _one(queue: WorkQueue[Key], reconciler: Reconciler, key: Key) -> str:
    try:
        again_in = await reconciler.reconcile(key)
    except ConflictError as error:
        # somebody wrote meanwhile: what was decided is stale, and what is true now is a read away
        queue.add_failed(key)
        _LOG.info("%s changed during a pass: %s", key, error)
        return "conflict"
    except (KubeError, TimeoutError) as error:
        delay = queue.add_failed(key, not_before=error.retry_after if isinstance(error, KubeError) else 0.0)
        _LOG.warning("%s failed, again in %.1f s: %s", key, delay, str(error) or "it took too long")
        return "failed"
    except Exception:  # nothing may end the loop: the release would be lost until somebody restarts us
        delay = queue.add_failed(key)
        _LOG.exception("%s failed unexpectedly, again in %.1f s", key, delay)
        return "crashed"
    queue.forget_failures(key)
    if again_in is not None:
        queue.add_after(key, again_in)
    return "done"
