"""Takes away ReleaseActions that are older than a week: answered, or about a Release that nobody made.

By the clock and a list, not by events: what was missed while nobody led is found the next time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from controller.api import times
from controller.api.resources import RELEASE_ACTIONS
from controller.kube.client import KubeClient
from controller.runtime.controller import Controller, Request, Result

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

    def first_requests(self, only: str | None) -> Iterable[Request]:
        return [Request(self.kind, only or "", "")]

    async def reconcile(self, request: Request) -> Result:
        async with asyncio.timeout(_TIMEOUT_S):
            went = await sweep(self._kube, request.namespace or None, self._clock())
        return Result(_EVERY_S if went < _MOST else 1.0)


async def sweep(kube: KubeClient, only: str | None, now: float) -> int:
    """In the namespace `only`, or in all. Returns how many went: of very many not all. Raises KubeError."""
    old = [item for item in await kube.list(RELEASE_ACTIONS, only) if _age(item, now) > _KEPT_S][:_MOST]
    for item in old:
        await kube.delete(RELEASE_ACTIONS, item["metadata"]["namespace"], item["metadata"]["name"])
    return len(old)


def _age(action: Mapping[str, Any], now: float) -> float:
    """Since the answer, or since it was asked where nobody has answered."""
    answered = action.get("status", {}).get("at")
    return now - times.from_text(answered or action["metadata"]["creationTimestamp"])
