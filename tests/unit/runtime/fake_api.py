"""An API server in memory, as far as Pointsman can tell: versions, finalizers, subresources, pages, watches.

Objects are never changed in place; each write makes a new one, so an old one that somebody holds stays as it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from controller.api import times
from controller.api.names import RELEASE_LABEL
from controller.api.resources import DEPLOYMENTS, RELEASE_ACTIONS, RELEASES
from tests.merge_patch import merged

_WITH_STATUS = {resource.path() for resource in (RELEASES, RELEASE_ACTIONS, DEPLOYMENTS)}
_KEPT_EVENTS = 4000

Object = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """One entry of the history that watches read."""

    version: int
    collection: str
    type: str
    object: Object
    before: Object | None = None

    def to(self, selector: str) -> Change | None:
        """As a watch with this selector sees it: what loses its labels is gone, and shown as it was before."""
        if selects(selector, self.object):
            return self
        if self.before is None or not selects(selector, self.before):
            return None
        version = {"resourceVersion": str(self.version)}
        return replace(self, type="DELETED", object={**self.before, "metadata": {**self.before["metadata"], **version}})


@dataclass(frozen=True)
class Answer:
    status: int
    body: Object
    headers: Mapping[str, str] = field(default_factory=dict)


class RefusalError(Exception):
    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.answer = refusal(status, reason, message)


def refusal(status: int, reason: str, message: str, *, retry_after: int | None = None) -> Answer:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Answer(status, {"kind": "Status", "code": status, "reason": reason, "message": message}, headers)


@dataclass(frozen=True)
class Place:
    """What a path names."""

    collection: str
    namespace: str | None
    name: str | None
    subresource: str | None

    @classmethod
    def of(cls, path: str) -> Place:
        parts = path.strip("/").split("/")
        depth = 2 if parts[0] == "api" else 3
        head, rest = parts[:depth], parts[depth:]
        namespace = None
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        rest += [""] * (3 - len(rest))
        return cls("/" + "/".join([*head, rest[0]]), namespace, rest[1] or None, rest[2] or None)


class FakeApi:
    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.clock_ahead = 0.0
        """Seconds by which its clock is wrong."""
        self._objects: dict[str, dict[tuple[str, str], Object]] = {}
        self._of_release: dict[tuple[str, str], dict[tuple[str, str], None]] = {}
        """Keys of objects by collection and label: hundreds of Releases are asked for theirs all the time."""
        self._made = 0
        self.version = 1000
        self.history: list[Change] = []
        self.compacted = 0
        """Up to this version the history is forgotten: who wants to watch from there has to list again."""
        self.listeners: list[Callable[[Change], None]] = []

    def wall(self) -> float:
        return self._now() + self.clock_ahead

    def objects(self, collection: str) -> list[Object]:
        return list(self._objects.get(collection, {}).values())

    def objects_of(self, collection: str, release: str) -> list[Object]:
        """Those that carry the label of a Release."""
        known = self._objects.get(collection, {})
        found = [known[key] for key in self._of_release.get((collection, release), {}) if key in known]
        return [item for item in found if _release_of(item) == release]

    def compact(self) -> None:
        self.compacted, self.history = self.version, []

    def since(self, version: int, collection: str) -> Iterator[Change]:
        start = len(self.history)
        while start and self.history[start - 1].version > version:
            start -= 1
        return (change for change in self.history[start:] if change.collection == collection)

    # -- requests ------------------------------------------------------------------------------------------------

    def handle(self, method: str, path: str, query: Mapping[str, str], body: object) -> Answer:
        place, sent = Place.of(path), json.loads(json.dumps(body))
        try:
            match method:
                case "GET" if place.name is None:
                    return Answer(200, self._list(place, query))
                case "GET":
                    return Answer(200, self._get(place))
                case "POST":
                    return Answer(201, self._create(place, sent))
                case "PUT":
                    return Answer(200, self._replace(place, sent))
                case "PATCH":
                    return Answer(200, self._patch(place, sent))
                case "DELETE":
                    return Answer(200, self._delete(place, sent or {}))
        except RefusalError as refused:
            return refused.answer
        raise AssertionError(f"{method} is not played")

    def _get(self, place: Place) -> Object:
        found = self._objects.get(place.collection, {}).get((place.namespace or "", place.name or ""))
        if found is None:
            raise RefusalError(404, "NotFound", f"{place.collection} {place.name!r} not found")
        return found

    def _list(self, place: Place, query: Mapping[str, str]) -> Object:
        selector = query.get("labelSelector", "")
        wanted = [
            (key, item)
            for key, item in self._may_select(place.collection, selector)
            if place.namespace in (None, key[0]) and selects(selector, item)
        ]
        version, after = self.version, ("", "")
        if "continue" in query:
            version, *last = json.loads(query["continue"])
            after = (last[0], last[1])
            if version < self.compacted:
                raise RefusalError(410, "Expired", "the continue token is too old")
        rest = [(key, item) for key, item in wanted if key > after]
        page = rest[: int(query.get("limit", "0")) or None]
        metadata: Object = {"resourceVersion": str(version)}
        if len(page) < len(rest):
            metadata["continue"] = json.dumps([version, *page[-1][0]])
        return {"metadata": metadata, "items": [item for _, item in page]}

    def _may_select(self, collection: str, selector: str) -> list[tuple[tuple[str, str], Object]]:
        """In the order of a list. Of hundreds of Releases each asks for its own objects alone."""
        known = self._objects.get(collection, {})
        name, _, value = selector.partition(",")[0].partition("=")
        keys = self._of_release.get((collection, value), {}) if name == RELEASE_LABEL and value else known
        return [(key, known[key]) for key in sorted(keys) if key in known]

    def _create(self, place: Place, body: Object) -> Object:
        metadata = {**body["metadata"], "namespace": place.namespace} if place.namespace else dict(body["metadata"])
        key = (place.namespace or "", metadata["name"])
        if key in self._objects.get(place.collection, {}):
            raise RefusalError(409, "AlreadyExists", f"{place.collection} {key[1]!r} exists already")
        self._made += 1
        metadata |= {
            "uid": str(UUID(int=self._made)),
            "generation": 1,
            "creationTimestamp": times.to_seconds_text(self.wall()),
        }
        made = {**body, "metadata": metadata}
        if place.collection in _WITH_STATUS:
            made.pop("status", None)
        if place.collection == RELEASES.path():
            made["status"] = {"observedGeneration": -1}
        return self._store(place.collection, "ADDED", made)

    def _replace(self, place: Place, body: Object) -> Object:
        before = self._get(place)
        self._expect(before, body["metadata"])
        return self._change(place, before, body)

    def _patch(self, place: Place, patch: Object) -> Object:
        before = self._get(place)
        self._expect(before, patch.get("metadata", {}))
        if place.subresource == "scale":
            patch = {"spec": {"replicas": patch["spec"]["replicas"]}}
        return self._change(place, before, merged(before, patch))

    def _change(self, place: Place, before: Object, body: Object) -> Object:
        """What a write may touch: /status the status, everything else all but the status."""
        if place.subresource == "status":
            after = {**before, "status": body.get("status", {})}
        else:
            kept = ("uid", "generation", "creationTimestamp", "deletionTimestamp", "resourceVersion")
            metadata = {
                **body["metadata"],
                **{name: before["metadata"][name] for name in kept if name in before["metadata"]},
            }
            if not metadata.get("finalizers"):
                metadata.pop("finalizers", None)
            after = {**body, "metadata": metadata}
            if place.collection in _WITH_STATUS:
                after.pop("status", None)
                after |= {"status": before["status"]} if "status" in before else {}
            if _spec(after) != _spec(before):
                metadata["generation"] += 1
        if after == before:
            return before  # as in the real one, a write that changes nothing makes no version
        if "deletionTimestamp" in after["metadata"] and not after["metadata"].get("finalizers"):
            return self._drop(place.collection, after)
        return self._store(place.collection, "MODIFIED", after)

    def _delete(self, place: Place, options: Object) -> Object:
        before = self._get(place)
        expected = options.get("preconditions") or {}
        self._expect(before, expected)
        if expected.get("uid", before["metadata"]["uid"]) != before["metadata"]["uid"]:
            raise RefusalError(409, "Conflict", "the UID in the precondition is another object's")
        if before["metadata"].get("finalizers"):
            stamp = {"deletionTimestamp": times.to_seconds_text(self.wall())}
            return self._store(place.collection, "MODIFIED", {**before, "metadata": {**before["metadata"], **stamp}})
        gone = self._drop(place.collection, before)["metadata"]
        return {"kind": "Status", "status": "Success", "details": {"name": gone["name"], "uid": gone["uid"]}}

    @staticmethod
    def _expect(before: Object, wanted: Mapping[str, Any]) -> None:
        if (
            wanted.get("resourceVersion", before["metadata"]["resourceVersion"])
            != before["metadata"]["resourceVersion"]
        ):
            raise RefusalError(409, "Conflict", "the object has been modified; please apply your changes to the latest")

    def _store(self, collection: str, kind: str, item: Object) -> Object:
        self.version += 1
        stored = {**item, "metadata": {**item["metadata"], "resourceVersion": str(self.version)}}
        metadata = stored["metadata"]
        key = (metadata.get("namespace", ""), metadata["name"])
        before = self._objects.setdefault(collection, {}).get(key)
        self._objects[collection][key] = stored
        self._of_release.setdefault((collection, _release_of(stored)), {})[key] = None
        self._tell(collection, kind, stored, before)
        return stored

    def _drop(self, collection: str, item: Object) -> Object:
        self.version += 1
        gone = {**item, "metadata": {**item["metadata"], "resourceVersion": str(self.version)}}
        metadata = gone["metadata"]
        del self._objects[collection][metadata.get("namespace", ""), metadata["name"]]
        self._tell(collection, "DELETED", gone)
        return gone

    def _tell(self, collection: str, kind: str, item: Object, before: Object | None = None) -> None:
        change = Change(self.version, collection, kind, item, before)
        self.history.append(change)
        if len(self.history) > _KEPT_EVENTS:
            self.compacted = self.history[_KEPT_EVENTS // 2].version
            del self.history[: _KEPT_EVENTS // 2 + 1]
        for listener in list(self.listeners):
            listener(change)


def _spec(item: Object) -> Object:
    return {name: value for name, value in item.items() if name not in ("metadata", "status")}


def _release_of(item: Object) -> str:
    return str((item["metadata"].get("labels") or {}).get(RELEASE_LABEL, ""))


def selects(selector: str, item: Mapping[str, Any]) -> bool:
    labels = item["metadata"].get("labels") or {}
    for term in filter(None, selector.split(",")):
        name, equals, value = term.partition("=")
        if name not in labels or (equals and labels[name] != value):
            return False
    return True
