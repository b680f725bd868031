"""The controller of Releases: what makes a Release worth a pass, and what the passes share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from controller import registry
from controller.api.names import RELEASE_LABEL
from controller.api.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    METRIC_SOURCES,
    METRIC_TEMPLATES,
    RELEASE_ACTIONS,
    RELEASES,
    SERVICES,
    Resource,
)
from controller.kube.cache import ObjectCache
from controller.kube.client import KubeClient
from controller.kube.config_maps import ConfigMaps
from controller.kube.objects import Key
from controller.kube.watch import Change, ChildWatch
from controller.queue_share.allocator import Allocators
from controller.runtime.controller import Controller, Event, Request, Result
from controller.runtime.reconciler import Reconciler

_LISTED = (DEPLOYMENTS, ENDPOINT_SLICES, SERVICES)
"""By the observer, for each Release."""


def release_request(key: Key) -> Request:
    return Request(RELEASES.kind, key.namespace, key.name)


class ReleaseController(Controller):
    kind = RELEASES.kind
    watches = (RELEASES, RELEASE_ACTIONS, METRIC_TEMPLATES, METRIC_SOURCES)

    def __init__(
        self,
        kube: KubeClient,
        cache: ObjectCache,
        config_maps: ConfigMaps,
        reconciler: Reconciler,
        allocators: Allocators,
    ) -> None:
        self._kube = kube
        self._cache = cache
        self._config_maps = config_maps
        self._reconciler = reconciler
        self._allocators = allocators

    def on_event(self, event: Event) -> Iterable[Request]:
        if event.resource == RELEASES:
            return self._on_release(event)
        if event.resource == RELEASE_ACTIONS:
            return [] if event.gone else self._on_action(event)
        # a source or a template: whoever waits for it looks again by its own timer
        self._reconciler.metrics_changed(event.body["metadata"]["namespace"])
        return []

    def _on_release(self, event: Event) -> list[Request]:
        metadata = event.body["metadata"]
        if event.gone:
            self._cache.invalidate(RELEASES, metadata["namespace"], metadata["name"])
        else:
            self._cache.on_release_event(event.body)
        return [Request(RELEASES.kind, metadata["namespace"], metadata["name"])]

    def _on_action(self, event: Event) -> list[Request]:
        if event.body.get("status", {}).get("result"):
            return []
        metadata = event.body["metadata"]
        key = Key(metadata["namespace"], event.body["spec"]["release"])
        self._reconciler.action_seen(key, metadata["name"], event.body["spec"].get("action"))
        return [release_request(key)]

    def on_child(self, resource: Resource, change: Change) -> Iterable[Request]:
        if resource == CONFIG_MAPS:
            concerned = self._config_maps.on_event(change)
            return [release_request(key) for key in concerned if self._reconciler.knows(key)]
        key = Key(change.metadata["namespace"], change.metadata["labels"][RELEASE_LABEL])
        self._cache.on_event(resource, key.name, change)
        # a Release without a pass yet has an event of its own to come, and its objects are read then
        return [release_request(key)] if self._reconciler.knows(key) else []

    def child_watches(self, only: str | None, seen: Callable[[Resource, Change], None]) -> Sequence[ChildWatch]:
        of_routers = {resource for module in registry.modules("routers").values() for resource in module.WATCHES}
        cache = self._cache

        def watch(resource: Resource) -> ChildWatch:
            return ChildWatch(
                self._kube,
                resource,
                RELEASE_LABEL,
                partial(seen, resource),
                namespace=only,
                watched=partial(cache.trust, resource),
                listed=partial(
                    cache.preload, resource, only, listed=resource in _LISTED, single=resource in of_routers
                ),
            )

        watches = [watch(resource) for resource in (*_LISTED, *sorted(of_routers - {*_LISTED}, key=str))]
        return [*watches, self._config_maps.watch(only, partial(seen, CONFIG_MAPS))]

    async def resync(self, only: str | None) -> Iterable[Request]:
        """A list of versions, a request only for what differs, and for what nobody has answered.

        Watches of children begin with a list each time (see kube/watch.py).
        """
        listed = await self._kube.list_versions(RELEASES, only)
        versions = {Key(namespace, name): version for (namespace, name), version in listed.items()}
        requests = [release_request(key) for key in self._reconciler.changed_since(versions)]
        await self._allocators.retain({str(key) for key in versions})
        for action in await self._kube.list(RELEASE_ACTIONS, only):
            requests += self._on_action(Event(RELEASE_ACTIONS, action))
        return requests

    async def reconcile(self, request: Request) -> Result:
        return Result(await self._reconciler.reconcile(request.key))
