"""Keeps what was read of a Release's objects, as the watches and our own writes say it is now.

Without it every pass costs six requests, and most passes come from the clock or from an event about one object. What
is cached may still be a moment old, as with every watch: so each write carries the resourceVersion it was decided on,
a failed pass drops everything of its Release, and nothing is kept of a kind whose watch is cut.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from controller.api.names import RELEASE_LABEL
from controller.api.resources import RELEASES, Resource
from controller.kube.client import METADATA_LIST, Items, KubeClient, NotFoundError
from controller.kube.packed import (
    CacheKey,
    Content,
    OngoingRequest,
    Preloaded,
    is_newer,
    release_of,
    slim,
    version_of,
    without_fields,
)
from controller.kube.watch import Change

_MOST_ENTRIES = 2500
_AGE_S = 60.0
_RELEASE_AGE_S = 10.0
"""kopf does not say when its watch is cut, so what a person may have changed is not believed for long."""
_PRELOADED_AGE_S = 120.0
"""What waits for a first pass. An event brings that pass, and a later event brings another."""


class ObjectCache:
    """The part of `KubeClient` that the engine uses, with the same errors. What it returns must not be changed."""

    def __init__(self, kube: KubeClient, monotonic: Callable[[], float] | None = None) -> None:
        self._kube = kube
        self._monotonic = monotonic or asyncio.get_running_loop().time
        self._trusted: set[Resource] = {RELEASES}
        self._entries: OrderedDict[CacheKey, Content] = OrderedDict()
        self._ongoing: set[OngoingRequest] = set()
        self._preloaded: OrderedDict[CacheKey, Preloaded] = OrderedDict()
        """Each is believed once."""

    # -- events -------------------------------------------------------------------------------------------------

    def trust(self, resource: Resource, *, watched: bool) -> None:
        """`watched`: whether a watch of this kind is open, so that each change will be seen."""
        if watched:
            self._trusted.add(resource)
            return
        self._trusted.discard(resource)
        for key in [key for key in (*self._entries, *self._preloaded) if key.resource == resource]:
            self._drop(key)
        for request in self._ongoing:
            request.changed.add(CacheKey(resource, "", ""))

    def invalidate(self, resource: Resource, namespace: str, release: str) -> None:
        for single in (False, True):
            self._drop(CacheKey(resource, namespace, release, single))

    def forget(self, namespace: str, release: str) -> None:
        """Drops everything of one Release: something was not as cached."""
        for resource in self._trusted:
            self.invalidate(resource, namespace, release)
        children = f"{release}-"
        for key in [key for key, content in self._entries.items() if not content.objects]:
            if key.namespace == namespace and key.release.startswith(children):
                self._drop(key)  # that one of its revisions has none

    def on_event(self, resource: Resource, release: str, change: Change) -> None:
        """An object that was made for this Release, as its watch shows it."""
        metadata = change.metadata
        for single in (False, True):
            key = CacheKey(resource, metadata["namespace"], release, single)
            if single and metadata["name"] != release:
                self._drop_absence(resource, metadata)
                continue
            if self._is_up_to_date(key, change):
                self._mark(key)
            else:
                self._drop(key)

    def _is_up_to_date(self, key: CacheKey, change: Change) -> bool:
        """Puts in what is new. An event may come late, and show what is long gone."""
        content, name = self._entries.get(key), change.metadata["name"]
        if content is None or change.item is None:
            return False
        known = content.objects.get(name)
        version = str(change.metadata["resourceVersion"])
        is_late = not is_newer(version, content.version if known is None else version_of(known))
        if known is None and not change.gone and (is_late or not content.version):
            return False
        if not is_late:
            if change.gone:
                content.objects.pop(name, None)
            else:
                content.objects[name] = change.item if key.single else slim(change.item)
        if content.version and is_newer(version, content.version):
            content.version = version
        return True

    def on_release_event(self, release: Mapping[str, Any]) -> None:
        """A Release as its watch shows it, which is what a read would give; unless more is known since."""
        metadata = release["metadata"]
        key = CacheKey(RELEASES, metadata["namespace"], metadata["name"], single=True)
        known = self._entries.get(key)
        found = known and known.objects.get(metadata["name"])
        if found and not is_newer(version_of(release), version_of(found)):
            return
        self._drop(key)
        kind = {"apiVersion": RELEASES.api_version, "kind": RELEASES.kind}
        # who has written which field of it is half of its size, and nobody's question
        item = {**kind, **release, "metadata": without_fields(metadata)}
        if known is None:
            self._preloaded[key] = Preloaded(self._monotonic())
            self._preloaded[key].pack(item)
        else:
            with self._ongoing_request() as request:
                self._put(request, key, [item])

    def _drop_absence(self, resource: Resource, metadata: Mapping[str, Any]) -> None:
        """A child of a revision is there: that there was none of its name may have been read, and is kept by that."""
        self._drop(CacheKey(resource, metadata.get("namespace", ""), metadata["name"], single=True))

    def _drop(self, key: CacheKey) -> None:
        self._entries.pop(key, None)
        self._preloaded.pop(key, None)
        self._mark(key)

    def _mark(self, key: CacheKey) -> None:
        for request in self._ongoing:
            request.changed.add(key)

    # -- reading -------------------------------------------------------------------------------------------------

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        found = await self.find(resource, namespace, name)
        if found is None:
            raise NotFoundError(404, "NotFound", f"{resource.plural} {name!r} not found")
        return found

    async def find(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any] | None:
        """An object that has its Release's own name is cached; of any name, that there is none."""
        if resource not in self._trusted or namespace is None:
            return await self._kube.find(resource, namespace, name)
        key = CacheKey(resource, namespace, name, single=True)
        content = self._content(key)
        if content is not None:
            return content.objects.get(name)
        with self._ongoing_request() as request:
            found = await self._kube.find(resource, namespace, name)
            if found is None or release_of(resource, found) == name:
                self._put(request, key, [] if found is None else [found])
        return found

    async def list(self, resource: Resource, namespace: str | None = None, *, labels: str = "") -> list[dict[str, Any]]:
        """All pages. Only lists of everything that one Release has are cached."""
        label, _, release = labels.partition("=")
        if resource not in self._trusted or namespace is None or label != RELEASE_LABEL or "," in release:
            return await self._kube.list(resource, namespace, labels=labels)
        key = CacheKey(resource, namespace, release)
        content = self._content(key)
        if content is not None:
            return list(content.objects.values())
        with self._ongoing_request() as request:
            found, version = await self._kube.listing(resource, namespace, labels=labels)
            self._put(request, key, found, version)
        return found

    async def list_metadata(self, resource: Resource, namespace: str, *, labels: str) -> Items:
        """As of now, each with nothing but its metadata."""
        pages = self._kube.pages(resource, namespace, labels=labels, accept=METADATA_LIST)
        return [item async for page in pages for item in page["items"]]

    async def first_page(
        self, resource: Resource, namespace: str, *, labels: str, fields: str, most: int
    ) -> tuple[Items, bool]:
        """As of now: nothing of it is kept."""
        return await self._kube.first_page(resource, namespace, labels=labels, fields=fields, most=most)

    async def preload(self, resource: Resource, namespace: str | None, *, listed: bool, single: bool) -> None:
        """Before the first pass over all Releases: what each will ask for, in pages and not one by one.

        `listed`: all that a Release has of the kind will be asked for; `single`: the one with its own name. Raises
        KubeError.
        """
        found: dict[CacheKey, Preloaded] = {}
        now = self._monotonic()
        with self._ongoing_request() as request:
            async for page in self._kube.pages(resource, namespace, labels=RELEASE_LABEL):
                for item in page["items"]:
                    name, release = item["metadata"]["name"], release_of(resource, item)
                    key = CacheKey(resource, item["metadata"]["namespace"], release)
                    if listed:
                        found.setdefault(key, Preloaded(now)).pack(slim(item))
                    if single and name == release:
                        found.setdefault(replace(key, single=True), Preloaded(now)).pack(item)
            if resource in self._trusted and CacheKey(resource, "", "") not in request.changed:
                self._preloaded |= {key: each for key, each in found.items() if key not in request.changed}

    def _content(self, key: CacheKey) -> Content | None:
        preloaded = self._preloaded.pop(key, None)
        if preloaded is not None:
            return preloaded.unpacked() if self._monotonic() - preloaded.read_at < _PRELOADED_AGE_S else None
        content = self._entries.get(key)
        age = _RELEASE_AGE_S if key.resource == RELEASES else _AGE_S
        return content if content is not None and self._monotonic() - content.read_at < age else None

    def _put(
        self, request: OngoingRequest, key: CacheKey, objects: Iterable[dict[str, Any]], version: str = ""
    ) -> None:
        if key in request.changed or CacheKey(key.resource, "", "") in request.changed:
            return
        now = self._monotonic()
        kept = objects if key.single else map(slim, objects)
        self._entries[key] = Content({item["metadata"]["name"]: item for item in kept}, now, version)
        self._entries.move_to_end(key)
        while len(self._entries) > _MOST_ENTRIES:
            self._entries.popitem(last=False)
        self.evict_old()

    def evict_old(self) -> None:
        """What is too old to be believed: it would else lie here until something else is read."""
        now = self._monotonic()
        while self._entries and next(iter(self._entries.values())).read_at < now - _AGE_S:
            self._entries.popitem(last=False)
        while self._preloaded and next(iter(self._preloaded.values())).read_at < now - _PRELOADED_AGE_S:
            self._preloaded.popitem(last=False)

    @contextmanager
    def _ongoing_request(self) -> Iterator[OngoingRequest]:
        request = OngoingRequest()
        self._ongoing.add(request)
        try:
            yield request
        finally:
            self._ongoing.discard(request)

    # -- writing -------------------------------------------------------------------------------------------------

    async def create(
        self, resource: Resource, namespace: str | None, body: Mapping[str, Any], *, strict: bool = False
    ) -> dict[str, Any]:
        with self._ongoing_request() as request:
            answer = await self._kube.create(resource, namespace, body, strict=strict)
            self._note(request, resource, answer)
        return answer

    async def replace(
        self, resource: Resource, body: Mapping[str, Any], subresource: str | None = None, *, strict: bool = False
    ) -> dict[str, Any]:
        with self._ongoing_request() as request:
            answer = await self._kube.replace(resource, body, subresource, strict=strict)
            self._note(request, resource, answer)
        return answer

    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Mapping[str, Any],
        subresource: str | None = None,
    ) -> dict[str, Any]:
        with self._ongoing_request() as request:
            answer = await self._kube.patch(resource, namespace, name, body, subresource)
            if subresource == "scale":
                self._note_scale(resource, namespace, name, answer)  # it is no Deployment
            else:
                self._note(request, resource, answer)
        return answer

    async def delete(
        self, resource: Resource, namespace: str, name: str, *, seen: Mapping[str, Any] | None = None
    ) -> bool:
        gone = await self._kube.delete(resource, namespace, name, seen=seen)
        for key, content in self._with(resource, namespace, name):
            if gone:
                del content.objects[name]
                self._mark(key)
            else:
                self._drop(key)
        return gone

    def _note(self, request: OngoingRequest, resource: Resource, answer: dict[str, Any]) -> None:
        """The answer to a write is what a read would give, unless somebody else was faster still."""
        metadata, release = answer["metadata"], release_of(resource, answer)
        for single in (False, True):
            key = CacheKey(resource, metadata.get("namespace", ""), release, single)
            self._preloaded.pop(key, None)
            content = self._entries.get(key)
            if single and metadata["name"] != release:
                self._drop_absence(resource, metadata)
                continue
            if content is None:
                if single and resource in self._trusted:  # that is all there is of it
                    self._put(request, key, [answer])
                continue
            known = content.objects.get(metadata["name"])
            if known is None and key in request.changed:
                self._drop(key)  # it may be gone again
            elif known is None or is_newer(version_of(answer), version_of(known)):
                content.objects[metadata["name"]] = answer if single else slim(answer)
                if single:  # as it is now
                    content.read_at = self._monotonic()
                    self._entries.move_to_end(key)

    def _note_scale(self, resource: Resource, namespace: str, name: str, scale: Mapping[str, Any]) -> None:
        version = version_of(scale)
        for _, content in self._with(resource, namespace, name):
            known = content.objects[name]
            if is_newer(version, version_of(known)):
                metadata = {**known["metadata"], "resourceVersion": version}
                spec = {**known["spec"], "replicas": scale["spec"].get("replicas", 0)}
                content.objects[name] = {**known, "metadata": metadata, "spec": spec}

    def _with(self, resource: Resource, namespace: str, name: str) -> Sequence[tuple[CacheKey, Content]]:
        """Where an object lies that was just written. It has its Release's name, or that with a revision after it."""
        keys = [
            CacheKey(resource, namespace, release, single)
            for release in (name, name.rpartition("-")[0])
            for single in (False, True)
        ]
        for key in keys:
            self._preloaded.pop(key, None)
        found = ((key, self._entries.get(key)) for key in keys)
        return [(key, content) for key, content in found if content is not None and name in content.objects]
