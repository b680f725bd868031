"""Turns what watches show into requests, and puts each into the work queue of its kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from controller.api.resources import Resource
from controller.kube.client import KubeClient
from controller.kube.watch import Change, ChildWatch
from controller.runtime.controller import Controller, Event, Request
from controller.workqueue import WorkQueue


class EventRouter:
    """One event loop's. It keeps nothing of what it is shown: what a controller wants to know, it notes itself."""

    def __init__(self, kube: KubeClient) -> None:
        self.kube = kube
        self._controllers: dict[str, Controller] = {}
        self._queues: dict[str, WorkQueue[Request]] = {}

    def register(self, controller: Controller) -> WorkQueue[Request]:
        """The queue of its requests. Raises ValueError where its kind has a controller already."""
        if controller.kind in self._controllers:
            raise ValueError(f"two controllers look after {controller.kind}")
        self._controllers[controller.kind] = controller
        self._queues[controller.kind] = queue = WorkQueue[Request]()
        return queue

    def __iter__(self) -> Iterator[tuple[Controller, WorkQueue[Request]]]:
        """Each controller with its queue."""
        return ((controller, self._queues[kind]) for kind, controller in self._controllers.items())

    @property
    def queues(self) -> Mapping[str, WorkQueue[Request]]:
        """By kind."""
        return self._queues

    @property
    def resources(self) -> tuple[Resource, ...]:
        """What people write and some controller wants to see."""
        return tuple(dict.fromkeys(each for controller in self._controllers.values() for each in controller.watches))

    def add(self, request: Request) -> None:
        self._queues[request.kind].add(request)

    def on_event(self, event: Event) -> None:
        # the end is news also where a write of ours, which took the last finalizer, has brought it about
        if not event.gone and self.kube.is_own_write(event.body["metadata"]):
            return
        for controller in self._controllers.values():
            if event.resource in controller.watches:
                for request in controller.on_event(event):
                    self.add(request)

    def child_watches(self, only: str | None) -> list[ChildWatch]:
        """Of everything that controllers make, and that somebody else may change."""
        return [
            watch
            for controller in self._controllers.values()
            for watch in controller.child_watches(only, partial(self._on_child, controller))
        ]

    def _on_child(self, controller: Controller, resource: Resource, change: Change) -> None:
        if self.kube.is_own_write(change.metadata):
            return
        for request in controller.on_child(resource, change):
            self.add(request)

    def start(self, only: str | None) -> None:
        for controller in self._controllers.values():
            for request in controller.first_requests(only):
                self.add(request)

    async def resync(self, controller: Controller, only: str | None) -> None:
        """Raises KubeError."""
        for request in await controller.resync(only):
            self.add(request)

    def close(self) -> None:
        for queue in self._queues.values():
            queue.close()
