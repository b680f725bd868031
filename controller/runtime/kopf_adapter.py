"""All that knows kopf: it watches what people write, and each event goes to the event router.

Only `on.event`: kopf's create, update, timer and daemon handlers die silently on a patch that is refused, and an
event handler that patches loops. These return nothing and patch nothing.

kopf has a thread and an event loop of its own, because it takes every task of its loop for its own: at its end it
waits five seconds for measurements under way, cancels them, and waits for those that do not heed it.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, NoReturn, cast

import kopf

from controller.api.resources import RELEASES, Resource
from controller.kube.client import KindsGoneError
from controller.runtime.controller import Event
from controller.runtime.ending import on_signal
from controller.runtime.event_router import EventRouter
from controller.runtime.kinds import gone, missing_kinds, until_released
from controller.runtime.settings import Settings

_LOG = logging.getLogger(__name__)
_WATCH = "watcher for "
"""How kopf names such a task."""
_KOPFS_END_S = 5.0
"""After that the process ends without kopf, which writes nothing."""
_CANCEL_AGAIN_S = 0.2
_LONGEST_END_S = 30.0
"""An end of the process that hangs is cut, with a trace of where it was: who does not end holds the Lease."""


async def watch(event_router: EventRouter, settings: Settings) -> None:
    """Until a signal says to stop. Raises KindsGoneError, KubeError, or what ended kopf before that."""
    missing = await missing_kinds(event_router.kube, settings.only, event_router.resources)
    if missing:  # kopf would not say so, and never see them come
        await _leave(event_router, settings, missing)
    kopfs = _KopfThread(event_router, settings)
    with on_signal(kopfs.stop):
        kopfs.start()
        try:
            await kopfs.ending.wait()
            ends_by_itself = not kopfs.stopped
        finally:
            faulthandler.dump_traceback_later(_LONGEST_END_S, exit=True)
            kopfs.stop()
        await asyncio.wait([kopfs.ended], timeout=_KOPFS_END_S)
    error = kopfs.ended.result() if kopfs.ended.done() else TimeoutError("kopf does not end")
    if ends_by_itself:
        missing = await gone(event_router.kube, settings.only, event_router.resources)
        if missing:
            await _leave(event_router, settings, missing, error)
        raise error or RuntimeError("kopf ended unexpectedly")
    if error is not None:
        _LOG.warning("the process ends without kopf: %s", error)


async def _leave(
    event_router: EventRouter, settings: Settings, missing: Sequence[str], cause: Exception | None = None
) -> NoReturn:
    if RELEASES in event_router.resources:
        faulthandler.cancel_dump_traceback_later()  # it may take as long as a deletion takes
        await until_released(event_router, settings.only)
        faulthandler.dump_traceback_later(_LONGEST_END_S, exit=True)
    raise KindsGoneError(f"the CRDs of {', '.join(missing)} were deleted") from cause


class _KopfThread:
    """All but `_run`, and what it calls, belongs to the operator's loop."""

    def __init__(self, event_router: EventRouter, settings: Settings) -> None:
        self._event_router = event_router
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self.stopped = False
        self.ending = asyncio.Event()
        """It was stopped, or ends by itself."""
        self.ended: asyncio.Future[Exception | None] = self._loop.create_future()
        """With the error that ended it."""

    def start(self) -> None:
        threading.Thread(target=self._run, name="kopf", daemon=True).start()

    def stop(self) -> None:
        self.stopped = True
        self._stop.set()
        self.ending.set()

    def _run(self) -> None:
        error: Exception | None = None
        try:
            asyncio.run(self._watch())
        except Exception as known:  # noqa: BLE001 - it is raised in the other loop
            error = known
        self._tell(self._end, error)

    async def _watch(self) -> None:
        asyncio.get_running_loop().set_exception_handler(_without_watches)
        logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)  # it warns that signals are ours
        try:
            await kopf.operator(
                registry=registry_of(self._event_router.resources, self._on_event, self._on_cleanup),
                settings=kopf_settings(),
                identity=cast("Any", self._settings.identity),  # else it asks for the user's name; a bare uid has none
                clusterwide=self._settings.only is None,
                namespaces=[self._settings.only] if self._settings.only is not None else (),
                standalone=True,
                stop_flag=self._stop,
            )
        finally:
            self._stop.set()

    async def _on_event(self, event: Event) -> None:
        self._tell(self._event_router.on_event, event)

    async def _on_cleanup(self) -> None:
        self._tell(self.ending.set)
        self._stop.set()  # a task of kopf's waits for it, and kopf for the task
        await _end_watches()

    def _end(self, error: Exception | None) -> None:
        self.ended.set_result(error)
        self.ending.set()

    def _tell(self, what: Callable[..., object], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the operator's loop is closed: it went on without kopf
            self._loop.call_soon_threadsafe(what, *arguments)


def registry_of(
    resources: Iterable[Resource],
    on_event: Callable[[Event], Awaitable[None]],
    on_cleanup: Callable[[], Awaitable[None]],
) -> kopf.OperatorRegistry:
    """The handlers, in a registry of their own: one process can hold several operators, as tests do.

    Coroutines, though they await little: kopf runs plain functions in threads, where events overtake each other.
    """
    registry = kopf.OperatorRegistry()
    for resource in resources:
        _hand_on(on_event, resource, registry)

    @kopf.on.cleanup(registry=registry)
    async def ending(**_: Any) -> None:
        await on_cleanup()

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_kubeconfig(**kwargs) or kopf.login_with_service_account(**kwargs)

    return registry


def _hand_on(on_event: Callable[[Event], Awaitable[None]], resource: Resource, registry: kopf.OperatorRegistry) -> None:
    @kopf.on.event(resource.group, resource.version, resource.plural, registry=registry)
    async def seen(body: kopf.Body, type: str | None, **_: Any) -> None:  # noqa: A002 - kopf's name
        await on_event(Event(resource, dict(body), gone=type == "DELETED"))


async def _end_watches() -> None:
    """When one watch fails, kopf ends; it closes its connections and leaves it to the other watches to find out.

    One that asks for new credentials then waits for ever, as nobody is there to give any. One whose stream ends at
    this moment takes its cancellation for that of its stream, and watches on: so it is cancelled until it ends.
    """
    watches = {task for task in asyncio.all_tasks() if task.get_name().startswith(_WATCH)}
    while watches:
        for watch in watches:
            watch.cancel()
        _, watches = await asyncio.wait(watches, timeout=_CANCEL_AGAIN_S)


def _without_watches(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Of the watches that failed, kopf raises the error of the first. The others' cause is the same."""
    task = context.get("future")
    if isinstance(task, asyncio.Task) and task.get_name().startswith(_WATCH):
        _LOG.debug("%s failed too: %s", task.get_name(), context.get("exception"))
    else:
        loop.default_exception_handler(context)


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
