"""The entries of the object cache, and what of an object is worth keeping."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.api.names import RELEASE_LABEL
from controller.api.resources import RELEASES, Resource
from controller.kube.made import SPEC_DIGEST, spec_digest


@dataclass(frozen=True)
class CacheKey:
    resource: Resource
    namespace: str
    release: str
    single: bool = False
    """The object with the Release's own name, or all that carry its label."""


@dataclass
class Content:
    objects: dict[str, dict[str, Any]]
    read_at: float
    version: str = ""
    """What is older and not among the objects is gone; empty where that is not known."""


@dataclass
class Preloaded:
    """What is kept for the first pass over a Release, as text: a start has them all, and unpacked they are ten times
    as large.
    """

    read_at: float
    texts: list[bytes] = field(default_factory=list)

    def pack(self, item: Mapping[str, Any]) -> None:
        self.texts.append(json.dumps(item, separators=(",", ":")).encode())

    def unpacked(self) -> Content:
        items: list[dict[str, Any]] = [json.loads(text) for text in self.texts]
        return Content({item["metadata"]["name"]: item for item in items}, self.read_at)


@dataclass(eq=False)
class OngoingRequest:
    """A request under way. What changes meanwhile is newer than its answer may be."""

    changed: set[CacheKey] = field(default_factory=set)


def release_of(resource: Resource, item: Mapping[str, Any]) -> str:
    metadata = item["metadata"]
    return str(metadata["name"] if resource == RELEASES else (metadata.get("labels") or {}).get(RELEASE_LABEL, ""))


def slim(item: dict[str, Any]) -> dict[str, Any]:
    """Without what a pass never looks at, which is most of it. Single objects are kept whole: a route's managedFields
    say who has written it.
    """
    metadata = without_fields(item["metadata"])
    if "template" not in item.get("spec", {}):
        return {**item, "metadata": metadata}
    spec = {name: value for name, value in item["spec"].items() if name != "template"}
    return {**item, "metadata": metadata, "spec": spec, SPEC_DIGEST: spec_digest(item)}


def without_fields(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metadata.items() if name != "managedFields"}


def version_of(item: Mapping[str, Any]) -> str:
    return str(item["metadata"]["resourceVersion"])


def is_newer(new: str, old: str) -> bool:
    """Versions of one kind can be compared as numbers (Kubernetes 1.35 promises what etcd always did)."""
    return not (new.isdigit() and old.isdigit()) or int(new) > int(old)
