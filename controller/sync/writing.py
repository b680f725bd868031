"""One ReleaseRepository as a pass reads it, its status as the pass writes it, and the Events beside that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from controller.api.names import RECONCILE
from controller.api.resources import RELEASE_REPOSITORIES
from controller.kube.client import KubeClient
from controller.sync import status as said
from controller.sync.inventory import MOST_CHARACTERS
from controller.sync.status import Status

_MOST_ANNOTATION = 1024
_UNDER_WAY = frozenset({"Fetching", "Applying", "Suspended"})
"""Reasons that nobody has to do anything about."""


class Emit(Protocol):
    """As `Events.emit`."""

    def __call__(self, subject: Mapping[str, Any], reason: str, message: str, *, warning: bool) -> None: ...


class TooLargeError(Exception):
    """The inventory has no room in one object."""


@dataclass
class Pass:
    kube: KubeClient
    body: dict[str, Any]
    clock: Callable[[], float]
    emit: Emit
    status: Status = field(init=False)

    def __post_init__(self) -> None:
        self.status = said.from_raw(self.body.get("status") or {})

    @property
    def generation(self) -> int:
        return int(self.body["metadata"]["generation"])

    @property
    def is_seen(self) -> bool:
        """Whether the status is about this spec."""
        return (self.body.get("status") or {}).get("observedGeneration") == self.generation

    @property
    def wanted(self) -> str:
        """The annotation by which a person wants a fetch now."""
        return str((self.body["metadata"].get("annotations") or {}).get(RECONCILE, ""))[:_MOST_ANNOTATION]

    def is_new(self, handled: str) -> bool:
        return self.wanted not in (self.status.handled, handled)

    async def write(self, **changes: Any) -> None:
        """Nothing where it says the same already. Raises KubeError, TooLargeError."""
        status = replace(self.status, **changes)
        before: Mapping[str, Any] = self.body.get("status") or {}
        raw = said.to_raw(status, before, self.generation, self.clock())
        if sum(map(len, raw["inventory"])) > MOST_CHARACTERS:
            raise TooLargeError("the names of all objects together are too long for one status; use two repositories")
        known, self.status = {(one.reason, one.message) for one in self.status.conditions}, status
        if raw == before:
            return
        self.body = await self.kube.replace(RELEASE_REPOSITORIES, {**self.body, "status": raw}, "status")
        for one in status.conditions:
            is_trouble = one.type == "Ready" and not one.status and one.reason not in _UNDER_WAY
            if is_trouble and (one.reason, one.message) not in known:
                self.say(one.reason, one.message, warning=True)

    def say(self, reason: str, message: str, *, warning: bool = False) -> None:
        """By an Event."""
        self.emit(self.body, reason, message, warning=warning)
