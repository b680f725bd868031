"""What looks after one kind of object, and the contract it keeps. One more kind is one more entry of the operator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from controller.api.resources import Resource
from controller.kube.objects import Key
from controller.kube.watch import Change, ChildWatch


@dataclass(frozen=True, slots=True)
class Request:
    """Which object may differ from what it should be, and not how: the key of the work queues."""

    kind: str
    namespace: str
    name: str

    @property
    def key(self) -> Key:
        return Key(self.namespace, self.name)

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True)
class Result:
    requeue_after: float | None = None
    """Seconds until time alone may change something; None: nothing but an event does."""


@dataclass(frozen=True)
class Event:
    """An object that people write, as its watch shows it."""

    resource: Resource
    body: Mapping[str, Any]
    gone: bool = False


class Controller(Protocol):
    """Looks after all objects of one kind. All but `kind` and `reconcile` may be left as they are here.

    A controller has a work queue and workers of its own: one that is slow, or fails, delays no other kind.
    """

    kind: str
    """Of its requests; metrics and `/healthz` name its queue by it."""
    workers: int | None = None
    """How many requests are worked on at once; None: as many as the installation says."""
    watches: Sequence[Resource] = ()
    """What people write and `on_event` is handed."""

    def on_event(self, event: Event) -> Iterable[Request]:
        """What is to be reconciled because of it. Returns at once, and raises nothing: a tenant wrote what it reads."""
        del event
        return ()

    def on_child(self, resource: Resource, change: Change) -> Iterable[Request]:
        """Likewise, of an object that this controller made, and that somebody else may have changed."""
        del resource, change
        return ()

    def child_watches(self, only: str | None, seen: Callable[[Resource, Change], None]) -> Sequence[ChildWatch]:
        """The watches that call `seen`, in the namespace `only` or in all. Work begins once each has listed once."""
        del only, seen
        return ()

    def first_requests(self, only: str | None) -> Iterable[Request]:
        """What is to be reconciled at the start, whatever the watches show."""
        del only
        return ()

    async def resync(self, only: str | None) -> Iterable[Request]:
        """What a watch may have lost; asked every few minutes. Raises KubeError."""
        del only
        return ()

    async def reconcile(self, request: Request) -> Result:
        """Brings the world closer to what one object says that it should be.

        *Level, not edge.* A request says which object to look at, and never what has happened to it: events are merged,
        repeated and lost. So it reads what is there now, and decides by that alone.

        *Idempotent.* It may be cut off between any two writes, and is called again after each failure, restart and
        change of leaders. Then it finds done what was done, and does the rest. Every write carries the resourceVersion
        it was decided on.

        *One at a time.* It is never called for a request while an earlier call for the same one runs; for different
        requests it is.

        *Short.* It waits for the API server and for nothing else, and ends within a minute.

        An object that is gone is no error: what is known of it is forgotten.

        Returns when to come back if no event does it earlier. Raises ConflictError, KubeError or TimeoutError where it
        has to be tried again; so is whatever else it raises, which is a defect, and logged with its traceback. Each
        failure waits longer than the one before, and not less than the API server's Retry-After.
        """
        ...


class Runnable(Protocol):
    """What works beside the controllers for as long as this process leads, with queues of its own."""

    async def run(self) -> None:
        """Until it is cancelled: an end, with or without an error, ends the process."""
        ...
