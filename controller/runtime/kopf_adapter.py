"""All that knows kopf: it watches what people write, and each event goes to the event router.

Only `on.event`: kopf's create, update, timer and daemon handlers die silently on a patch that is refused, and an
event handler that patches loops. These return nothing and patch nothing.
"""

from __future__ import annotations

import asyncio
import faulthandler
from typing import Any, cast

import kopf

from controller.api.resources import Resource
from controller.kube.client import KindsGoneError
from controller.runtime.controller import Event
from controller.runtime.event_router import EventRouter
from controller.runtime.kinds import gone
from controller.runtime.settings import Settings

_WATCH = "watcher for "
"""How kopf names such a task."""

_LONGEST_END_S = 30.0
"""An end that hangs is cut, with a trace of where it was: who does not end holds the Lease."""


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
        missing = await gone(event_router.kube, settings.only, event_router.resources)
        if not missing:
            raise
        raise KindsGoneError(f"the CRDs of {', '.join(missing)} were deleted") from error


def registry_of(event_router: EventRouter) -> kopf.OperatorRegistry:
    """The handlers, in a registry of their own: one process can hold several operators, as tests do.

    Coroutines, though they await nothing: kopf runs plain functions in threads, and the queue is the loop's alone.
    """
    registry = kopf.OperatorRegistry()
    for resource in event_router.resources:
        _hand_on(event_router, resource, registry)

    @kopf.on.cleanup(registry=registry)
    async def ending(**_: Any) -> None:
        faulthandler.dump_traceback_later(_LONGEST_END_S, exit=True)
        await _end_watches()

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_kubeconfig(**kwargs) or kopf.login_with_service_account(**kwargs)

    return registry


def _hand_on(event_router: EventRouter, resource: Resource, registry: kopf.OperatorRegistry) -> None:
    @kopf.on.event(resource.group, resource.version, resource.plural, registry=registry)
    async def seen(body: kopf.Body, type: str | None, **_: Any) -> None:  # noqa: A002 - kopf's name
        event_router.on_event(Event(resource, dict(body), gone=type == "DELETED"))


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
