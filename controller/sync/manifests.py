"""What a repository says that there should be, object by object: pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from controller.api.names import COMMIT, REPOSITORY_LABEL
from controller.api.resources import CRDS, NAMESPACES

_FIRST = (NAMESPACES.kind, CRDS.kind)


class ObjectId(NamedTuple):
    """Without the version: the same object has several."""

    group: str
    kind: str
    namespace: str
    """Empty: it is in none."""
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Failure:
    """Of one file or object."""

    what: str
    message: str


@dataclass(frozen=True)
class Manifest:
    """One document, as it was written."""

    file: str
    raw: Mapping[str, Any]

    @property
    def api_version(self) -> str:
        return str(self.raw["apiVersion"])

    @property
    def group(self) -> str:
        return self.api_version.rpartition("/")[0]

    @property
    def kind(self) -> str:
        return str(self.raw["kind"])

    @property
    def name(self) -> str:
        return str(self.raw["metadata"]["name"])

    @property
    def comes_first(self) -> bool:
        """What others lie in, or are made of."""
        return self.kind in _FIRST


@dataclass(frozen=True)
class Wanted:
    """A manifest in its place."""

    id: ObjectId
    manifest: Manifest
    body: Mapping[str, Any]
    """As it is applied, but for the commit."""
    digest: str

    def at(self, commit: str) -> dict[str, Any]:
        metadata = self.body["metadata"]
        annotations = {**(metadata.get("annotations") or {}), COMMIT: commit}
        return {**self.body, "metadata": {**metadata, "annotations": annotations}}


def placed(manifest: Manifest, *, namespaced: bool, home: str, repository: str, scaled: bool) -> Wanted:
    """`home`: the namespace of what names none. `scaled`: an autoscaler has the replicas."""
    raw = manifest.raw
    metadata = {key: value for key, value in raw["metadata"].items() if key not in _SERVERS}
    namespace = str(metadata.pop("namespace", "") or home) if namespaced else ""
    metadata.pop("namespace", None)
    if namespace:
        metadata["namespace"] = namespace
    metadata["labels"] = {**(metadata.get("labels") or {}), REPOSITORY_LABEL: repository}
    body = {key: value for key, value in raw.items() if key != "status"} | {"metadata": metadata}
    if scaled and isinstance(raw.get("spec"), Mapping):
        body["spec"] = {key: value for key, value in raw["spec"].items() if key != "replicas"}
    return Wanted(ObjectId(manifest.group, manifest.kind, namespace, manifest.name), manifest, body, digest_of(body))


_SERVERS = frozenset({"creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"})
"""What the API server writes, and who exports an object commits."""


def digest_of(body: Any) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]


def unique(wanted: Iterable[Wanted]) -> tuple[list[Wanted], list[Failure]]:
    """What is written twice is not applied: which of both would be it?"""
    found: dict[ObjectId, Wanted] = {}
    twice: dict[ObjectId, Failure] = {}
    for one in wanted:
        other = found.setdefault(one.id, one)
        if other is not one:
            twice[one.id] = Failure(str(one.id), f"stands in {other.manifest.file} and in {one.manifest.file}")
    return [one for key, one in found.items() if key not in twice], list(twice.values())


def targets_of(autoscaler: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Group and kind with name, in the autoscaler's namespace, whose replicas it sets."""
    spec = autoscaler.get("spec")
    target = spec.get("scaleTargetRef") if isinstance(spec, Mapping) else None
    if isinstance(target, Mapping):
        group = str(target.get("apiVersion", "")).rpartition("/")[0]
        yield f"{group}/{target.get('kind', '')}", str(target.get("name", ""))
