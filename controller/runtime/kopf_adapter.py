"""Where events come in: each becomes a key in the work queue, and nothing else.

Only `on.event`: kopf's create, update, timer and daemon handlers die silently on a patch that is refused, and an
event handler that patches loops. These return nothing and patch nothing.
"""

from __future__ import annotations

import asyncio
import faulthandler
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import kopf

from controller.api.names import GROUP, RELEASE_LABEL, VERSION
from controller.api.resources import RELEASES, Resource
from controller.kube.client import KindsGoneError
from controller.kube.objects import Key
from controller.kube.watch import Change
from controller.runtime.kinds import gone
from controller.runtime.reconciler import Reconciler
from controller.runtime.settings import Settings
from controller.workqueue import WorkQueue

_WATCH = "watcher for "
"""How kopf names such a task."""

_LONGEST_END_S = 30.0
"""An end that hangs is cut, with a trace of where it was: who does not end holds the Lease."""


@dataclass(frozen=True)
class EventRouter:
    """Turns what was seen into keys."""

    queue: WorkQueue[Key]
    reconciler: Reconciler

    def on_release(self, body: Mapping[str, Any], *, gone: bool) -> None:
        metadata = body["metadata"]
        if self.reconciler.kube.is_own_write(metadata):
            return
        if gone:
            self.reconciler.cache.invalidate(RELEASES, metadata["namespace"], metadata["name"])
        else:
            self.reconciler.cache.on_release_event(body)
        self.queue.add(Key(metadata["namespace"], metadata["name"]))

    def on_child(self, resource: Resource, change: Change) -> None:
        metadata = change.metadata
        if self.reconciler.kube.is_own_write(metadata):
            return
        key = Key(metadata["namespace"], metadata["labels"][RELEASE_LABEL])
        self.reconciler.cache.on_event(resource, key.name, change)
        if key in self.reconciler.versions:  # what was never looked at is told of by itself, and then read anew
            self.queue.add(key)

    def on_action(self, body: Mapping[str, Any]) -> None:
        if body.get("status", {}).get("result"):
            return
        key = Key(body["metadata"]["namespace"], body["spec"]["release"])
        self.reconciler.pending.setdefault(key, set()).add(body["metadata"]["name"])
        self.queue.add(key)

    def on_metrics_changed(self) -> None:
        """A source or a template changed: whoever waits for it looks again by its own timer."""
        self.reconciler.sources.changed()


async def watch(event_router: EventRouter, settings: Settings) -> None:
    """Until kopf is told to stop, by a signal. Raises KindsGoneError."""
    try:
        await kopf.operator(
            registry=registry_of(event_router),
            settings=kopf_settings(),
            identity=cast("Any", settings.identity),  # else kopf asks for the user's name, which a bare uid has not
            clusterwide=settings.only is None,
            namespaces=[settings.only] if settings.only is not None else (),
            standalone=True,
        )
    except Exception as error:
        missing = await gone(event_router.reconciler.kube, settings.only)
        if not missing:
            raise
        raise KindsGoneError(f"the CRDs of {', '.join(missing)} were deleted") from error


def registry_of(event_router: EventRouter) -> kopf.OperatorRegistry:
    """The handlers, in a registry of their own: one process can hold several operators, as tests do.

    Coroutines, though they await nothing: kopf runs plain functions in threads, and the queue is the loop's alone.
    """
    registry = kopf.OperatorRegistry()

    @kopf.on.event(GROUP, VERSION, "releases", registry=registry)
    async def release_seen(body: kopf.Body, type: str | None, **_: Any) -> None:  # noqa: A002 - kopf's name
        event_router.on_release(dict(body), gone=type == "DELETED")

    @kopf.on.event(GROUP, VERSION, "releaseactions", registry=registry)
    async def action_seen(body: kopf.Body, type: str | None, **_: Any) -> None:  # noqa: A002 - kopf's name
        if type != "DELETED":
            event_router.on_action(body)

    @kopf.on.event(GROUP, VERSION, "metrictemplates", registry=registry)
    async def template_seen(**_: Any) -> None:
        event_router.on_metrics_changed()

    @kopf.on.event(GROUP, VERSION, "metricsources", registry=registry)
    async def source_seen(**_: Any) -> None:
        event_router.on_metrics_changed()

    @kopf.on.cleanup(registry=registry)
    async def ending(**_: Any) -> None:
        faulthandler.dump_traceback_later(_LONGEST_END_S, exit=True)
        await _end_watches()

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_kubeconfig(**kwargs) or kopf.login_with_service_account(**kwargs)

    return registry


async def _end_watches() -> None:
    """When one watch fails, kopf ends; it closes its connections and leaves it to the other watches to find out.

    One that asks for new credentials then waits for ever, as nobody is there to give any, and takes its cancellation
    for a pause: the process would go on leading, and see nothing.
    """
    watches = [task for task in asyncio.all_tasks() if task.get_name().startswith(_WATCH)]
    for watch in watches:
        watch.cancel()
    await asyncio.gather(*watches, return_exceptions=True)


class _NoEssence(kopf.DiffBaseStorage):
    """kopf works out what of an object has changed for handlers of changes. There are none, and each event costs a
    deep copy of its object three times over.
    """

    def build(self, *, body: kopf.Body, extra_fields: object = None) -> kopf.BodyEssence:
        del body, extra_fields
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        del body
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        raise NotImplementedError("there is no handler whose state could be kept")


def kopf_settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.persistence.diffbase_storage = _NoEssence()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True  # the CRDs are there before the operator; watching them would need more rights
    settings.watching.chunk_size = 500  # else a start holds the bodies of all Releases at once, and so does kopf
    settings.queueing.idle_timeout = 0.1  # a worker holds its last body until then
    settings.watching.server_timeout = 290
    settings.watching.client_timeout = 320
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 10
    return settings
