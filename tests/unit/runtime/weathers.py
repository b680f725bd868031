"""What networks and API servers do to requests and to watch events."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from controller.api.resources import EVENTS, LEASES, NAMESPACES
from tests.unit.runtime.fake_api import Answer, Change, refusal
from tests.unit.runtime.fake_client import Request, Weather

REASONS = {
    403: "Forbidden",
    409: "Conflict",
    410: "Gone",
    422: "Invalid",
    429: "TooManyRequests",
    503: "ServiceUnavailable",
}
LOST = 0
"""In place of a status: the request is carried out, and its answer is lost."""

_TOO_LATE_S = 12.0
"""Longer than the client waits."""
_SHARE_TOO_LATE = 0.08
_SPARED = {LEASES.path(), NAMESPACES.path(), EVENTS.path()}
"""Leading and beginning have tests of their own, and an event may be lost."""


async def trouble(status: int, execute: Callable[[], Answer], *, retry_after: int | None = None) -> Answer:
    if status == LOST:
        execute()
        return refusal(503, "ServiceUnavailable", "the answer was lost")
    return refusal(status, REASONS[status], f"answered {status} for a test", retry_after=retry_after)


@dataclass
class Random(Weather):
    """This share of the requests fares badly, for so long."""

    status: int
    share: float
    retry_after: int | None = None
    until: float = 240.0
    dice: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311 - the same each time

    async def serve(self, request: Request, execute: Callable[[], Answer]) -> Answer:
        over = asyncio.get_running_loop().time() > self.until or request.place.collection in _SPARED
        if not over and self.dice.random() < self.share:
            return await trouble(self.status, execute, retry_after=self.retry_after)
        return execute()


@dataclass
class Always(Weather):
    """Requests that are meant are refused for ever."""

    status: int
    meant: Callable[[Request], bool]

    async def serve(self, request: Request, execute: Callable[[], Answer]) -> Answer:
        return await trouble(self.status, execute) if self.meant(request) else execute()


@dataclass
class InTurn(Weather):
    """Requests that are meant fare badly one after the other, each once: those that others had in an earlier life do
    well. Between two are some that do well, for a reconcile must be able to succeed.
    """

    faults: tuple[int, ...]
    gap: int
    meant: Callable[[Request], bool]
    had: set[str] = field(default_factory=set)
    """What has had its fault: the request, and how many of its kind succeeded before."""
    since: int = 0
    succeeded: Counter[str] = field(default_factory=Counter)
    hit: list[str] = field(default_factory=list)

    async def serve(self, request: Request, execute: Callable[[], Answer]) -> Answer:
        if request.place.collection in _SPARED or not self.meant(request):
            return execute()
        self.since += 1
        which = f"{request} {self.succeeded[str(request)]}"
        if self.since <= self.gap or which in self.had:
            self.succeeded[str(request)] += 1
            return execute()
        self.since = 0
        self.had.add(which)
        self.hit.append(str(request))
        return await trouble(self.faults[len(self.had) % len(self.faults)], execute)


@dataclass
class Late(Weather):
    """Answers take their time, some longer than anybody waits; also those of writes that were carried out."""

    dice: random.Random = field(default_factory=lambda: random.Random(3))  # noqa: S311 - the same each time

    async def serve(self, request: Request, execute: Callable[[], Answer]) -> Answer:
        if request.place.collection in _SPARED:
            return execute()
        await asyncio.sleep(self.dice.choice((0.01, 0.1, 1.0, 2.0)))
        answer = execute()
        await asyncio.sleep(_TOO_LATE_S if self.dice.random() < _SHARE_TOO_LATE else 0.1)
        return answer


@dataclass
class DroppedEvents(Weather):
    """Watches stay open and tell nothing of these collections; None: of all."""

    collections: tuple[str, ...] | None = None

    def deliver(self, client: str, change: Change) -> list[Change]:
        return [] if self.collections is None or change.collection in self.collections else [change]


@dataclass
class ConfusedEvents(Weather):
    """Events come twice, later than those after them, and old ones again."""

    dice: random.Random = field(default_factory=lambda: random.Random(5))  # noqa: S311 - the same each time
    held: dict[str, list[Change]] = field(default_factory=dict)

    def deliver(self, client: str, change: Change) -> list[Change]:
        kept = self.held.setdefault(client + change.collection, [])
        match self.dice.randrange(4):
            case 0:
                kept.append(change)
                return []
            case 1:
                return [change, change]
            case 2:
                late, kept[:] = list(kept), []
                return [change, *reversed(late)]
            case _:
                return [change, *kept[:1]]
