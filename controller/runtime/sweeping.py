"""Takes away ReleaseActions that are older than a week: answered, or about a Release that nobody made.

By the clock and a list, not by events: what was missed while nobody led is found the next time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from controller.api import times
from controller.api.resources import RELEASE_ACTIONS
from controller.kube.client import InvalidError, KubeClient
from controller.runtime.controller import Controller, Request, Result

_LOG = logging.getLogger(__name__)
_EVERY_S = 3600.0
_KEPT_S = 7 * 86400.0
_TIMEOUT_S = 60.0
_MOST = 200
"""Of one pass, which has to end within a minute."""


class SweepingController(Controller):
    """Its one request names a namespace, or all of them, and no object."""

    kind = RELEASE_ACTIONS.kind
    workers = 1

    def __init__(self, kube: KubeClient, clock: Callable[[], float]) -> None:
        self._kube = kube
        self._clock = clock
        self._refused: set[str] = set()
        """Uids that could not be deleted since all of them were last looked at."""

    def first_requests(self, only: str | None) -> Iterable[Request]:
        return [Request(self.kind, only or "", "")]

    async def reconcile(self, request: Request) -> Result:
        async with asyncio.timeout(_TIMEOUT_S):
            tried = await sweep(self._kube, request.namespace or None, self._clock(), self._refused)
        if tried == _MOST:
            return Result(1.0)
        self._refused.clear()
        return Result(_EVERY_S)


async def sweep(kube: KubeClient, only: str | None, now: float, refused: set[str]) -> int:
    """In the namespace `only`, or in all. Returns how many were deleted or `refused`: of very many not all.

    One that cannot go keeps none from it that can. Raises KubeError.
    """
    items = await kube.list(RELEASE_ACTIONS, only)
    old = [item for item in items if _can_go(item, now) and item["metadata"]["uid"] not in refused][:_MOST]
    said = ""
    for metadata in (item["metadata"] for item in old):
        try:
            await kube.delete(RELEASE_ACTIONS, metadata["namespace"], metadata["name"])
        except InvalidError as error:
            refused.add(metadata["uid"])
            said = f"{metadata['namespace']}/{metadata['name']}: {error}"
    if said:
        _LOG.warning("old ReleaseActions cannot be deleted, the last of them %s", said)
    return len(old)


def _can_go(action: Mapping[str, Any], now: float) -> bool:
    """It is old, and does not wait for a finalizer already."""
    return "deletionTimestamp" not in action["metadata"] and _age(action, now) > _KEPT_S


def _age(action: Mapping[str, Any], now: float) -> float:
    """Since the answer, or since it was asked where nobody has answered, or nobody can tell when."""
    made = times.from_text(action["metadata"]["creationTimestamp"])
    try:
        return now - times.from_text(action["status"]["at"])
    except (KeyError, ValueError, TypeError, AttributeError):
        return now - made
