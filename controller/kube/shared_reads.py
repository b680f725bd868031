"""What many want to read at one moment is read once."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Any

from controller.api.resources import Resource
from controller.kube.secrets import Secrets

KEPT_S = 1.0
"""So old may an answer be. Secrets are kept no longer either."""


class SharedReads:
    """Safe for concurrent use within one event loop. An error reaches those who waited, and no others."""

    def __init__(self, kube: Secrets) -> None:
        self._kube = kube
        self._reads: dict[Hashable, asyncio.Task[dict[str, Any] | None]] = {}

    async def find(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any] | None:
        """None: there is none. Who asks must not change it. Raises KubeError."""
        place = (resource, namespace, name)
        read = self._reads.get(place)
        if read is None:
            read = self._reads[place] = asyncio.create_task(self._kube.find(resource, namespace, name))
            read.add_done_callback(lambda done: self._ended(place, done))
        return await asyncio.shield(read)

    def forget(self) -> None:
        """Whoever asks from now on gets what is read from now on."""
        self._reads.clear()

    def _ended(self, place: Hashable, read: asyncio.Task[dict[str, Any] | None]) -> None:
        if read.cancelled() or read.exception() is not None:
            self._drop(place, read)
        else:
            asyncio.get_running_loop().call_later(KEPT_S, self._drop, place, read)

    def _drop(self, place: Hashable, read: asyncio.Task[dict[str, Any] | None]) -> None:
        if self._reads.get(place) is read:
            del self._reads[place]
