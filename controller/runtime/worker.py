"""A worker: takes requests one after the other until it is cancelled. No failure ends it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from controller.kube.client import ConflictError, KubeError
from controller.runtime.controller import Controller, Request
from controller.workqueue import WorkQueue

_LOG = logging.getLogger(__name__)

Finished = Callable[[str], None]
"""Called with how each call of `reconcile` ended: done, conflict, failed or crashed."""


async def work(queue: WorkQueue[Request], controller: Controller, finished: Finished) -> None:
    while True:
        request = await queue.get()
        try:
            finished(await _one(queue, controller, request))
        finally:
            queue.finish(request)


async def _one(queue: WorkQueue[Request], controller: Controller, request: Request) -> str:
    try:
        result = await controller.reconcile(request)
    except ConflictError as error:
        # somebody wrote meanwhile: what was decided is stale, and what is true now is a read away
        queue.add_failed(request)
        _LOG.info("%s changed during a pass: %s", request, error)
        return "conflict"
    except (KubeError, TimeoutError) as error:
        delay = queue.add_failed(request, not_before=error.retry_after if isinstance(error, KubeError) else 0.0)
        _LOG.warning("%s failed, again in %.1f s: %s", request, delay, str(error) or "it took too long")
        return "failed"
    except Exception:  # nothing may end the loop: the object would be lost until somebody restarts us
        delay = queue.add_failed(request)
        _LOG.exception("%s failed unexpectedly, again in %.1f s", request, delay)
        return "crashed"
    queue.forget_failures(request)
    if result.requeue_after is not None:
        queue.add_after(request, result.requeue_after)
    return "done"
