"""Watches children, hands on what it is shown, and keeps nothing of them but a resource version.

kopf keeps about 20 KiB for each object it watches, which at five children a Release would be most of the operator's
memory. Lists are of metadata only: all that is asked of them is what changed while no watch was open.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import sys
from collections import OrderedDict
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import aiohttp

from controller.api.resources import Resource
from controller.backoff import spread_s
from controller.kube.client import (
    METADATA,
    METADATA_LIST,
    InvalidError,
    KubeClient,
    KubeError,
    NotFoundError,
    UnavailableError,
)

_LOG = logging.getLogger(__name__)
_SERVER_TIMEOUT_S = (240, 300)
"""Drawn for each watch, so that not all of them list at once."""
_CLIENT_TIMEOUT_S = 320.0
_AGAIN_S = (1.0, 30.0)
_LASTING_S = 5.0
"""A watch that ends sooner is none: a proxy does not stream, say, and a list of everything follows each."""
_ABSENT_S = 30.0
_GONE = 410
_PAGE, _PAGE_OF_ALL = 500, 100
"""Of what has our label, and of all there are: these are tenants', whose annotations may have 256 KiB each, and
`kubectl apply` keeps the whole of an object in one.
"""
_SKIPPED_AT_MOST = 1000
"""Objects that are remembered as skipped; with more of them each is logged again now and then."""


@dataclass(frozen=True)
class Change:
    """Of one object. `item` is what it is now; None where only a list told of it."""

    metadata: Mapping[str, Any]
    item: dict[str, Any] | None = None
    gone: bool = False


class _Known(NamedTuple):
    """All that is kept of an object; with thousands of them a dictionary each is most of the operator's memory."""

    version: str
    namespace: str
    name: str
    label: str


Seen = Callable[[Change], None]


class Watched(Protocol):
    def __call__(self, *, watched: bool) -> None: ...


Listed = Callable[[], Awaitable[None]]
Counts = Callable[[str, str, str], bool]
"""Of an object's namespace, name and label."""


class ChildWatch:
    """Calls `seen` for each object with the label `label`, or for all with an empty one, that appears, changes or goes.

    What is in an object was written by a tenant: one that `seen` fails on is skipped and logged once, and the watch of
    all others goes on.
    """

    def __init__(
        self,
        kube: KubeClient,
        resource: Resource,
        label: str,
        seen: Seen,
        *,
        namespace: str | None = None,
        watched: Watched | None = None,
        listed: Listed | None = None,
        counts: Counts | None = None,
    ) -> None:
        """`counts`: of all objects there are, with the label or without, those that are worth knowing. No more than
        their metadata is shown then.
        """
        self._kube = kube
        self._namespace = namespace
        self._resource = resource
        self._label = label
        self._seen = seen
        self._watched = watched
        """Told whether changes are being told: not between a cut and the next list. `listed` runs once, between the
        first list and the first event.
        """
        self._known: dict[str, _Known] = {}
        """By uid."""
        self._skipped: OrderedDict[str, None] = OrderedDict()
        """Uids of objects that `seen` has failed on."""
        self._listed = listed
        self._counts = counts
        self._selector = label if counts is None else ""
        self.tried = asyncio.Event()
        """Set once the first list has come to an end, good or bad."""

    async def run(self) -> None:
        """Until cancelled. Each watch begins with a list, which finds what the one before has missed: no error tells
        of events that a proxy, or a server that is being replaced, has swallowed.
        """
        pause = 0.0
        now = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(spread_s(pause))
            again = longer = min(max(_AGAIN_S[0], pause * 2), _AGAIN_S[1])
            try:
                version = await self._list()
                self._tell(watched=True)
                if self._listed is not None and not self.tried.is_set():
                    await self._listed()
                self.tried.set()
                begun = now()
                try:
                    await self._watch(version)
                finally:
                    lasted = now() - begun >= _LASTING_S
                    again = _AGAIN_S[0] if lasted else longer
                if lasted:
                    pause = 0.0
                    continue
                pause = longer
                _LOG.warning("the watch of %s ended at once, again in %.0f s", self._resource.plural, pause)
            except NotFoundError:
                # a router whose CRDs are not installed here; they may come
                pause = _ABSENT_S
            except InvalidError as error:
                # forbidden, most likely: asking every second changes nothing and fills the log
                pause = _ABSENT_S
                _LOG.warning("watching %s: %s", self._resource.plural, error)
            except KubeError as error:
                pause = max(again, error.retry_after)
                if error.status != _GONE:
                    _LOG.warning("watching %s: %s", self._resource.plural, error)
            except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError) as error:
                # the last three: what came is not what an API server sends, but a proxy may
                pause = again
                _LOG.warning("the watch of %s was cut: %r", self._resource.plural, error)
            self._tell(watched=False)
            self.tried.set()

    def _tell(self, *, watched: bool) -> None:
        if self._watched is not None:
            self._watched(watched=watched)

    async def _list(self) -> str:
        listed, changed, version = set[str](), list[Mapping[str, Any]](), ""
        most = _PAGE if self._counts is None else _PAGE_OF_ALL
        pages = self._kube.pages(
            self._resource, self._namespace, labels=self._selector, accept=METADATA_LIST, most=most
        )
        async for page in pages:
            for item in page["items"]:
                metadata = item["metadata"]
                if not self._is_counted(metadata):
                    continue
                listed.add(metadata["uid"])
                known = self._known.get(metadata["uid"])
                if known is None or known.version != metadata["resourceVersion"]:
                    changed.append(self._as_metadata(metadata["uid"], self.note(metadata)))
            version = str(page["metadata"]["resourceVersion"])
        # with the version that we may have written it would be taken for that write
        gone = [
            self._as_metadata(uid, self._known.pop(uid)) | {"resourceVersion": "0"}
            for uid in self._known.keys() - listed
        ]
        for metadata in changed:
            self._hand_on(Change(metadata))
        for metadata in gone:
            self._hand_on(Change(metadata, gone=True))
        return version

    def _is_counted(self, metadata: Mapping[str, Any]) -> bool:
        if self._counts is None:
            return True
        label = (metadata.get("labels") or {}).get(self._label, "")
        return self._counts(metadata.get("namespace", ""), metadata["name"], label)

    def _hand_on(self, change: Change) -> None:
        try:
            self._seen(change)
        except Exception:  # noqa: BLE001 - what a tenant wrote must not end the watch of all
            metadata = change.metadata
            if metadata["uid"] not in self._skipped:
                what = f"{self._resource.plural} {metadata.get('namespace', '')}/{metadata['name']}"
                _LOG.exception("%s cannot be handled. It is skipped; this is logged once", what)
            self._skipped[metadata["uid"]] = None
            if len(self._skipped) > _SKIPPED_AT_MOST:
                self._skipped.popitem(last=False)

    def note(self, metadata: Mapping[str, Any]) -> _Known:
        """An object as it was read: the next list finds what has become of it."""
        label = (metadata.get("labels") or {}).get(self._label, "")
        names = (metadata.get("namespace", ""), metadata["name"], label)
        namespace, name, label = map(sys.intern, names)  # the same ones are known of other kinds too
        known = self._known[metadata["uid"]] = _Known(metadata["resourceVersion"], namespace, name, label)
        return known

    def _as_metadata(self, uid: str, known: _Known) -> dict[str, Any]:
        return {
            "uid": uid,
            "resourceVersion": known.version,
            "namespace": known.namespace,
            "name": known.name,
            "labels": {self._label: known.label} if self._label else {},
        }

    async def _watch(self, version: str) -> None:
        query = {
            "watch": "true",
            "labelSelector": self._selector,
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(random.randint(*_SERVER_TIMEOUT_S)),  # noqa: S311 - jitter
        }
        accept = "application/json" if self._counts is None else METADATA
        response = await self._kube.stream(
            self._resource.path(self._namespace), query, timeout_s=_CLIENT_TIMEOUT_S, accept=accept
        )
        async with response:
            async for line in _lines(response.content.iter_any()):
                self._take(json.loads(line))

    def _take(self, event: Mapping[str, Any]) -> None:
        item: dict[str, Any] = event["object"]
        match event["type"]:
            case "BOOKMARK":
                return
            case "ADDED" | "MODIFIED" | "DELETED" if not self._is_counted(item["metadata"]):
                self._known.pop(item["metadata"]["uid"], None)
                return
            case "ADDED" | "MODIFIED":
                self.note(item["metadata"])
            case "DELETED":
                self._known.pop(item["metadata"]["uid"], None)
            case _:
                raise UnavailableError(int(item.get("code", 0)), str(item.get("reason")), str(item.get("message")))
        self._hand_on(Change(item["metadata"], item, gone=event["type"] == "DELETED"))


async def _lines(content: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """However long: an object may have 1.5 MiB, and a reader of lines gives up much earlier."""
    begun: list[bytes] = []
    async for chunk in content:
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            yield b"".join([*begun, line])
            begun.clear()
        if rest:
            begun.append(rest)
