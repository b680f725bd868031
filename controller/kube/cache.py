"""Remembers what was read of a Release's objects, and keeps it as the watches and our own writes say it is now.

Without it every pass costs six requests, and most passes come from the clock or from an event about one object. What
is remembered may still be a moment old, as with every watch: so each write carries the resourceVersion it was decided
on, a refused one makes the Release forget everything, and nothing is remembered of a kind whose watch is cut.
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
from controller.kube.client import KubeClient, NotFoundError
from controller.kube.packed import (
    Content,
    Flight,
    Parcel,
    Shelf,
    is_newer,
    release_of,
    slim,
    version_of,
    without_fields,
)
from controller.kube.watch import Change

_MOST_SHELVES = 2500
_AGE_S = 60.0
_RELEASE_AGE_S = 10.0
"""kopf does not say when its watch is cut, so what a person may have changed is not believed for long."""
_PARCEL_AGE_S = 120.0
"""What waits for a first pass: that comes because it was told of, and again if it is told of anew."""


class Memory:
    """The part of `KubeClient` that the engine uses, with the same errors. What it returns must not be changed."""

    def __init__(self, kube: KubeClient, monotonic: Callable[[], float] | None = None) -> None:
        self._kube = kube
        self._monotonic = monotonic or asyncio.get_running_loop().time
        self._trusted: set[Resource] = {RELEASES}
        self._shelves: OrderedDict[Shelf, Content] = OrderedDict()
        self._flights: set[Flight] = set()
        self._parcels: OrderedDict[Shelf, Parcel] = OrderedDict()
        """Each is believed once."""

    # -- what the watches say ------------------------------------------------------------------------------------

    def trust(self, resource: Resource, *, watched: bool) -> None:
        """Whether changes of this kind are being told."""
        if watched:
            self._trusted.add(resource)
            return
        self._trusted.discard(resource)
        for shelf in [shelf for shelf in (*self._shelves, *self._parcels) if shelf.resource == resource]:
            self._drop(shelf)
        for flight in self._flights:
            flight.changed.add(Shelf(resource, "", ""))

    def changed(self, resource: Resource, namespace: str, release: str) -> None:
        for single in (False, True):
            self._drop(Shelf(resource, namespace, release, single))

    def forget(self, namespace: str, release: str) -> None:
        """Everything about one Release: something was not as remembered."""
        for resource in self._trusted:
            self.changed(resource, namespace, release)

    def told(self, resource: Resource, release: str, change: Change) -> None:
        """Something that was made for this Release, as its watch shows it."""
        metadata = change.metadata
        for single in (False, True):
            shelf = Shelf(resource, metadata["namespace"], release, single)
            if single and metadata["name"] != release:
                continue
            if self._is_up_to_date(shelf, change):
                self._mark(shelf)
            else:
                self._drop(shelf)

    def _is_up_to_date(self, shelf: Shelf, change: Change) -> bool:
        """Puts in what is new. An event may come late, and tell of what is long gone."""
        content, name = self._shelves.get(shelf), change.metadata["name"]
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
                content.objects[name] = change.item if shelf.single else slim(change.item)
        if content.version and is_newer(version, content.version):
            content.version = version
        return True

    def told_release(self, release: Mapping[str, Any]) -> None:
        """A Release as its watch shows it, which is what a read would give; unless more is known since."""
        metadata = release["metadata"]
        shelf = Shelf(RELEASES, metadata["namespace"], metadata["name"], single=True)
        known = self._shelves.get(shelf)
        found = known and known.objects.get(metadata["name"])
        if found and not is_newer(version_of(release), version_of(found)):
            return
        self._drop(shelf)
        kind = {"apiVersion": RELEASES.api_version, "kind": RELEASES.kind}
        # who has written which field of it is half of its size, and nobody's question
        item = {**kind, **release, "metadata": without_fields(metadata)}
        if known is None:
            self._parcels[shelf] = Parcel(self._monotonic())
            self._parcels[shelf].pack(item)
        else:
            with self._flight() as flight:
                self._put(flight, shelf, [item])

    def _drop(self, shelf: Shelf) -> None:
        self._shelves.pop(shelf, None)
        self._parcels.pop(shelf, None)
        self._mark(shelf)

    def _mark(self, shelf: Shelf) -> None:
        for flight in self._flights:
            flight.changed.add(shelf)

    # -- reading -------------------------------------------------------------------------------------------------

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        found = await self.find(resource, namespace, name)
        if found is None:
            raise NotFoundError(404, "NotFound", f"{resource.plural} {name!r} not found")
        return found

    async def find(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any] | None:
        """An object that has its Release's own name is remembered, also that there is none."""
        if resource not in self._trusted or namespace is None:
            return await self._kube.find(resource, namespace, name)
        shelf = Shelf(resource, namespace, name, single=True)
        content = self._content(shelf)
        if content is not None:
            return content.objects.get(name)
        with self._flight() as flight:
            found = await self._kube.find(resource, namespace, name)
            if found is None or release_of(resource, found) == name:
                self._put(flight, shelf, [] if found is None else [found])
        return found

    async def list(self, resource: Resource, namespace: str | None = None, *, labels: str = "") -> list[dict[str, Any]]:
        """All pages. Only lists of everything that one Release has are remembered."""
        label, _, release = labels.partition("=")
        if resource not in self._trusted or namespace is None or label != RELEASE_LABEL or "," in release:
            return await self._kube.list(resource, namespace, labels=labels)
        shelf = Shelf(resource, namespace, release)
        content = self._content(shelf)
        if content is not None:
            return list(content.objects.values())
        with self._flight() as flight:
            found, version = await self._kube.listing(resource, namespace, labels=labels)
            self._put(flight, shelf, found, version)
        return found

    async def fill(self, resource: Resource, namespace: str | None, *, listed: bool, single: bool) -> None:
        """Before the first pass over all Releases: what each will ask for, in pages and not one by one.

        `listed`: all that a Release has of the kind will be asked for; `single`: the one with its own name. Raises
        KubeError.
        """
        parcels: dict[Shelf, Parcel] = {}
        now = self._monotonic()
        with self._flight() as flight:
            async for page in self._kube.pages(resource, namespace, labels=RELEASE_LABEL):
                for item in page["items"]:
                    name, release = item["metadata"]["name"], release_of(resource, item)
                    shelf = Shelf(resource, item["metadata"]["namespace"], release)
                    if listed:
                        parcels.setdefault(shelf, Parcel(now)).pack(slim(item))
                    if single and name == release:
                        parcels.setdefault(replace(shelf, single=True), Parcel(now)).pack(item)
            if resource in self._trusted and Shelf(resource, "", "") not in flight.changed:
                self._parcels |= {shelf: parcel for shelf, parcel in parcels.items() if shelf not in flight.changed}

    def _content(self, shelf: Shelf) -> Content | None:
        parcel = self._parcels.pop(shelf, None)
        if parcel is not None:
            return parcel.unpacked() if self._monotonic() - parcel.read_at < _PARCEL_AGE_S else None
        content = self._shelves.get(shelf)
        age = _RELEASE_AGE_S if shelf.resource == RELEASES else _AGE_S
        return content if content is not None and self._monotonic() - content.read_at < age else None

    def _put(self, flight: Flight, shelf: Shelf, objects: Iterable[dict[str, Any]], version: str = "") -> None:
        if shelf in flight.changed or Shelf(shelf.resource, "", "") in flight.changed:
            return
        now = self._monotonic()
        kept = objects if shelf.single else map(slim, objects)
        self._shelves[shelf] = Content({item["metadata"]["name"]: item for item in kept}, now, version)
        self._shelves.move_to_end(shelf)
        while len(self._shelves) > _MOST_SHELVES:
            self._shelves.popitem(last=False)
        self.let_go()

    def let_go(self) -> None:
        """What is too old to be believed: it would else lie here until something else is read."""
        now = self._monotonic()
        while self._shelves and next(iter(self._shelves.values())).read_at < now - _AGE_S:
            self._shelves.popitem(last=False)
        while self._parcels and next(iter(self._parcels.values())).read_at < now - _PARCEL_AGE_S:
            self._parcels.popitem(last=False)

    @contextmanager
    def _flight(self) -> Iterator[Flight]:
        flight = Flight()
        self._flights.add(flight)
        try:
            yield flight
        finally:
            self._flights.discard(flight)

    # -- writing -------------------------------------------------------------------------------------------------

    async def create(
        self, resource: Resource, namespace: str | None, body: Mapping[str, Any], *, strict: bool = False
    ) -> dict[str, Any]:
        with self._flight() as flight:
            answer = await self._kube.create(resource, namespace, body, strict=strict)
            self._note(flight, resource, answer)
        return answer

    async def replace(
        self, resource: Resource, body: Mapping[str, Any], subresource: str | None = None
    ) -> dict[str, Any]:
        with self._flight() as flight:
            answer = await self._kube.replace(resource, body, subresource)
            self._note(flight, resource, answer)
        return answer

    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Mapping[str, Any],
        subresource: str | None = None,
    ) -> dict[str, Any]:
        with self._flight() as flight:
            answer = await self._kube.patch(resource, namespace, name, body, subresource)
            if subresource == "scale":
                self._note_scale(resource, namespace, name, answer)  # it is no Deployment
            else:
                self._note(flight, resource, answer)
        return answer

    async def delete(
        self, resource: Resource, namespace: str, name: str, *, seen: Mapping[str, Any] | None = None
    ) -> bool:
        gone = await self._kube.delete(resource, namespace, name, seen=seen)
        for shelf, content in self._with(resource, namespace, name):
            if gone:
                del content.objects[name]
                self._mark(shelf)
            else:
                self._drop(shelf)
        return gone

    def _note(self, flight: Flight, resource: Resource, answer: dict[str, Any]) -> None:
        """The answer to a write is what a read would give, unless somebody else was faster still."""
        metadata, release = answer["metadata"], release_of(resource, answer)
        for single in (False, True):
            shelf = Shelf(resource, metadata.get("namespace", ""), release, single)
            self._parcels.pop(shelf, None)
            content = self._shelves.get(shelf)
            if single and metadata["name"] != release:
                continue
            if content is None:
                if single and resource in self._trusted:  # that is all there is of it
                    self._put(flight, shelf, [answer])
                continue
            known = content.objects.get(metadata["name"])
            if known is None and shelf in flight.changed:
                self._drop(shelf)  # it may be gone again
            elif known is None or is_newer(version_of(answer), version_of(known)):
                content.objects[metadata["name"]] = answer if single else slim(answer)
                if single:  # as it is now
                    content.read_at = self._monotonic()
                    self._shelves.move_to_end(shelf)

    def _note_scale(self, resource: Resource, namespace: str, name: str, scale: Mapping[str, Any]) -> None:
        version = version_of(scale)
        for _, content in self._with(resource, namespace, name):
            known = content.objects[name]
            if is_newer(version, version_of(known)):
                metadata = {**known["metadata"], "resourceVersion": version}
                spec = {**known["spec"], "replicas": scale["spec"].get("replicas", 0)}
                content.objects[name] = {**known, "metadata": metadata, "spec": spec}

    def _with(self, resource: Resource, namespace: str, name: str) -> Sequence[tuple[Shelf, Content]]:
        """Where an object lies that was just written. It has its Release's name, or that with a revision after it."""
        shelves = [
            Shelf(resource, namespace, release, single)
            for release in (name, name.rpartition("-")[0])
            for single in (False, True)
        ]
        for shelf in shelves:
            self._parcels.pop(shelf, None)
        found = ((shelf, self._shelves.get(shelf)) for shelf in shelves)
        return [(shelf, content) for shelf, content in found if content is not None and name in content.objects]
