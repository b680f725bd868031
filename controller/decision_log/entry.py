"""What is logged: where a Release stands, each look with its evidence, and each event. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from controller.api.status import Status
from controller.kube.objects import Key
from controller.stats.counts import Look
from controller.stats.evidence import Evidence


@dataclass(frozen=True)
class StatusEntry:
    """Where a Release stands. Written again from time to time while nothing changes, so that a board shows it."""

    key: Key
    status: Status
    at: float
    """Seconds since the epoch, as everywhere here."""


@dataclass(frozen=True)
class LookEntry:
    """One look, and the evidence with it. A look that is made again after a crash has the same moment."""

    key: Key
    canary: str
    stable: str
    """The revision whose counts stand beside the canary's."""
    attempt: int
    look: Look
    evidence: Evidence


@dataclass(frozen=True)
class EventEntry:
    """A step, a verdict, what a person asked for: the same that becomes a Kubernetes event."""

    key: Key
    reason: str
    message: str
    warning: bool
    at: float


Entry = StatusEntry | LookEntry | EventEntry


class SinkDownError(Exception):
    """It does not take anything now; the same may be sent again."""


class SinkRefusedError(Exception):
    """It will never take this."""


class Sink(Protocol):
    """A place outside that entries go to. Its texts of errors hold no token."""

    @property
    def name(self) -> str:
        """In metrics and in the operator's log."""
        ...

    @property
    def most(self) -> int:
        """How much goes into one request."""
        ...

    def encode(self, entry: Entry) -> Sequence[bytes]:
        """As it is sent; nothing where it is not for this place."""
        ...

    async def send(self, batch: Sequence[bytes]) -> None:
        """Idempotent as far as the other side lets it be. Raises SinkDownError, SinkRefusedError."""
        ...

    async def close(self) -> None: ...
