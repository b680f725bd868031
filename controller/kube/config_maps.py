"""What is known of the ConfigMaps that Releases name, and of the copies that versions have of them.

One watch, of metadata, shows what changes. A content is read once for each change and each set of its keys that is
asked for, and a digest is all that stays of it: what ten thousand Releases are configured with is not ours to hold.
What no Release names, or names no longer, is not even remembered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from controller.api.configuration import Reference, content_of, digest_of, is_live, keys_in, size_of
from controller.api.names import RELEASE_LABEL
from controller.api.resources import CONFIG_MAPS
from controller.kube.client import InvalidError, KubeClient, UnavailableError
from controller.kube.objects import Key, revision_of_copy
from controller.kube.watch import Change, ChildWatch, Seen
from controller.turns import Turns

_READS = 8
"""Contents that are held at once, each of up to 1 MiB, whoever edits how many; namespaces take turns."""
_Keys = frozenset[str] | None


@dataclass(frozen=True, slots=True)
class ConfigMapState:
    """Of the keys that were asked for."""

    digest: str
    size: int
    live: bool
    missing: frozenset[str]
    refused: str = ""
    """Why it may not be read."""


class Copy(NamedTuple):
    revision: str
    uid: str


class _Place(NamedTuple):
    namespace: str
    name: str


class ConfigMaps:
    """Of one process."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube
        self._watch: ChildWatch | None = None
        self._watched = False
        self._states: dict[_Place, dict[_Keys, ConfigMapState | None]] = {}
        self._readers: dict[_Place, dict[str, _Keys]] = {}
        """The Releases that name each, and the keys that they ask for."""
        self._named: dict[Key, Mapping[str, _Keys]] = {}
        self._copies: dict[Key, dict[str, Copy]] = {}
        self._owners: dict[_Place, Key] = {}
        """The Release whose copy each is."""
        self._refused: dict[Key, dict[str, float]] = {}
        """Since when the copies of each version that leaves cannot be deleted, by the loop's clock."""
        self._reading: list[set[_Place]] = []
        """For each read under way, what has changed since it began."""
        self._under_way: dict[_Place, dict[_Keys, asyncio.Task[ConfigMapState | None]]] = {}
        """Reads that began after the last change, for all who ask."""
        self._reads = Turns(_READS)

    def watch(self, only: str | None, seen: Seen) -> ChildWatch:
        """Of all ConfigMaps there are: which of them Releases name changes with each commit."""
        self._watch = ChildWatch(
            self._kube, CONFIG_MAPS, RELEASE_LABEL, seen, namespace=only, watched=self._trust, counts=self._counts
        )
        return self._watch

    def _trust(self, *, watched: bool) -> None:
        self._watched = watched
        if not watched:
            self._states.clear()
            self._under_way.clear()
            for changed in self._reading:
                changed.update(self._readers)

    def _counts(self, namespace: str, name: str, release: str) -> bool:
        place = _Place(namespace, name)
        return bool(release) or place in self._readers or place in self._owners

    def on_event(self, change: Change) -> set[Key]:
        """The Releases that it may concern."""
        metadata = change.metadata
        place = _Place(metadata["namespace"], metadata["name"])
        self._states.pop(place, None)
        self._under_way.pop(place, None)
        for changed in self._reading:
            changed.add(place)
        concerned = {Key(place.namespace, name) for name in self._readers.get(place, ())}
        before, after = self._owners.get(place), self._note_copy(metadata, gone=change.gone)
        return concerned | ({before} if before else set()) | ({after} if after else set())

    def _note_copy(self, metadata: Mapping[str, Any], *, gone: bool) -> Key | None:
        """The Release whose copy it is now."""
        place, uid = _Place(metadata["namespace"], metadata["name"]), metadata["uid"]
        key = Key(place.namespace, (metadata.get("labels") or {}).get(RELEASE_LABEL, ""))
        revision = revision_of_copy(key, place.name)
        before = self._owners.get(place)
        if before is not None and (not gone or self._copies[before][place.name].uid == uid):
            self._drop_copy(before, place)
        if gone or not revision:
            return None
        self._copies.setdefault(key, {})[place.name] = Copy(revision, uid)
        self._owners[place] = key
        return key

    def _drop_copy(self, key: Key, place: _Place) -> None:
        del self._owners[place], self._copies[key][place.name]
        if not self._copies[key]:
            del self._copies[key]

    def made(self, item: Mapping[str, Any]) -> None:
        """A copy that this process has written: no event tells it of that."""
        self._note_copy(item["metadata"], gone=False)
        if self._watch is not None:
            self._watch.note(item["metadata"])

    def deleted(self, key: Key, name: str) -> None:
        """Likewise."""
        place = _Place(key.namespace, name)
        if self._owners.get(place) == key:
            self._drop_copy(key, place)

    def deletion_refused(self, key: Key, revision: str) -> float:
        """The copies of a version that leaves cannot be deleted. For how many seconds they could not so far."""
        now = asyncio.get_running_loop().time()
        return now - self._refused.setdefault(key, {}).setdefault(revision, now)

    def refused_no_longer(self, key: Key, revisions: Iterable[str]) -> None:
        """These copies are deleted, left behind, or wanted again: another refusal begins anew."""
        refused = self._refused.get(key, {})
        for revision in revisions:
            refused.pop(revision, None)
        if not refused:
            self._refused.pop(key, None)

    def copies(self, key: Key) -> Mapping[str, Copy] | None:
        """Of a Release, by name; None while nothing tells which there are."""
        return dict(self._copies.get(key, {})) if self._watched else None

    def refer(self, key: Key, references: Iterable[Reference]) -> None:
        """Which ConfigMaps, and which of their keys, a Release names from now on."""
        before, after = self._named.get(key, {}), {one.name: one.keys for one in references}
        for name in before:
            if name not in after or after[name] != before[name]:
                self._leave(_Place(key.namespace, name), key.name)
        for name, keys in after.items():
            self._readers.setdefault(_Place(key.namespace, name), {})[key.name] = keys
        if after:
            self._named[key] = after
        else:
            self._named.pop(key, None)

    def _leave(self, place: _Place, release: str) -> None:
        """Forgets what no other Release asks for."""
        readers = self._readers[place]
        keys = readers.pop(release)
        if not readers:
            del self._readers[place]
        states = self._states.get(place, {})
        if keys in states and keys not in readers.values():
            del states[keys]
            if not states:
                del self._states[place]

    def forget(self, key: Key) -> None:
        """The Release is gone."""
        self.refer(key, ())
        self._refused.pop(key, None)

    async def state(self, key: Key, reference: Reference) -> ConfigMapState | None:
        """Of a ConfigMap that the Release names, as it is now; None where there is none. Raises KubeError."""
        place, keys = _Place(key.namespace, reference.name), reference.keys
        known = self._states.get(place, {})
        if self._watched and keys in known:
            return known[keys]
        if not self._watched:
            return await self._read(place, keys)
        read = self._under_way.get(place, {}).get(keys) or self._begin(place, keys)
        return await asyncio.shield(read)

    def _begin(self, place: _Place, keys: _Keys) -> asyncio.Task[ConfigMapState | None]:
        read = asyncio.create_task(self._read(place, keys))
        self._under_way.setdefault(place, {})[keys] = read
        read.add_done_callback(lambda read: self._end(place, keys, read))
        return read

    def _end(self, place: _Place, keys: _Keys, read: asyncio.Task[ConfigMapState | None]) -> None:
        reads = self._under_way.get(place, {})
        if reads.get(keys) is read:
            del reads[keys]
            if not reads:
                del self._under_way[place]
        if not read.cancelled():
            read.exception()  # all who asked may be gone, and asyncio would log what nobody retrieved

    async def _read(self, place: _Place, keys: _Keys) -> ConfigMapState | None:
        async with self._reads.turn(place.namespace):
            return await self._read_now(place, keys)

    async def _read_now(self, place: _Place, keys: _Keys) -> ConfigMapState | None:
        with self._noting_changes() as changed:
            try:
                found = await self._kube.find(CONFIG_MAPS, *place)
            except (InvalidError, UnavailableError) as error:
                # forbidden, or not to be had: that must not keep anybody from an abort
                return ConfigMapState("", 0, live=False, missing=frozenset(), refused=str(error))
            state = None if found is None else _state_of(found, keys)
            if self._watched and place not in changed and keys in self._readers.get(place, {}).values():
                self._states.setdefault(place, {})[keys] = state
                if found is not None and self._watch is not None:
                    self._watch.note(found["metadata"])  # so that the next list finds what no event told of
        return state

    @contextmanager
    def _noting_changes(self) -> Iterator[set[_Place]]:
        changed = set[_Place]()
        self._reading.append(changed)
        try:
            yield changed
        finally:
            self._reading = [one for one in self._reading if one is not changed]


def _state_of(found: Mapping[str, Any], keys: _Keys) -> ConfigMapState:
    content = content_of(found, keys)
    missing = frozenset() if keys is None else keys - keys_in(content)
    return ConfigMapState(digest_of(content), size_of(content), live=is_live(found), missing=missing)
