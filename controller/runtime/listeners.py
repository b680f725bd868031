"""Who takes note of where each Release stands: the operator's own metrics, the decision log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from controller.api.status import Status
from controller.kube.objects import Key


class StatusListener(Protocol):
    """Only takes note, at once: a pass calls it and waits for nothing."""

    def status(self, key: Key, status: Status) -> None:
        """A pass has written it, or found it as it is to be."""
        ...

    def forget(self, key: Key) -> None:
        """The Release is gone."""
        ...


@dataclass(frozen=True)
class Listeners:
    """All of them as one."""

    members: Sequence[StatusListener] = ()

    def status(self, key: Key, status: Status) -> None:
        for member in self.members:
            member.status(key, status)

    def forget(self, key: Key) -> None:
        for member in self.members:
            member.forget(key)


NOBODY = Listeners()
