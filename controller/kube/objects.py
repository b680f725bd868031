"""The objects a Release is made of: pure, from what the user wrote to what the API server gets."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.api.configuration import copy_name
from controller.api.names import (
    API_VERSION,
    COPY_OF,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    PART_LABEL,
    RELEASE_LABEL,
    REVISION_LABEL,
)
from controller.api.release import ReleaseSpec
from controller.api.resources import Resource

_REVISION = re.compile(r"[a-z2-7]{10}")


@dataclass(frozen=True)
class Key:
    """A Release."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def child_name(name: str, revision: str) -> str:
    return f"{name}-{revision}"


def revision_named(name: str, child: str) -> str:
    """The revision of a child that is named as `child_name` does; empty for any other name."""
    revision = child.removeprefix(f"{name}-")
    return revision if revision != child and _REVISION.fullmatch(revision) else ""


PREVIEW = "preview"
"""Part of a Release; shorter than any revision, so no child is named like it."""


def preview_name(name: str) -> str:
    return child_name(name, PREVIEW)


def selector(name: str, revision: str) -> dict[str, str]:
    return {RELEASE_LABEL: name, REVISION_LABEL: revision}


def selector_text(name: str, revisions: Sequence[str]) -> str:
    """As /scale wants it, for an autoscaler: the pods of all of them; empty where there are none."""
    match sorted(revisions):
        case []:
            return ""
        case [revision]:
            return ",".join(f"{key}={value}" for key, value in selector(name, revision).items())
        case several:
            return f"{RELEASE_LABEL}={name},{REVISION_LABEL} in ({','.join(several)})"


def owner_of(release: Mapping[str, Any], spec: ReleaseSpec) -> dict[str, Any] | None:
    return owner_reference(release) if spec.owned else None


def owner_reference(release: Mapping[str, Any]) -> dict[str, Any]:
    metadata = release["metadata"]
    return {
        "apiVersion": API_VERSION,
        "kind": "Release",
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": False,
    }


def owners(release: Mapping[str, Any], metadata: Mapping[str, Any], owner: Mapping[str, Any] | None) -> list[Any]:
    """The owner references of a child as they should be: ours by spec.deletionPolicy, and everybody else's."""
    uid = release["metadata"]["uid"]
    others = [one for one in metadata.get("ownerReferences") or [] if one.get("uid") != uid]
    return others if owner is None else [*others, dict(owner)]


def has_owners(release: Mapping[str, Any], metadata: Mapping[str, Any], owner: Mapping[str, Any] | None) -> bool:
    uid = release["metadata"]["uid"]
    return (owner is not None) == any(one.get("uid") == uid for one in metadata.get("ownerReferences") or [])


def is_ours(metadata: Mapping[str, Any], name: str, owner: Mapping[str, Any] | None) -> bool:
    """Whether an object that has the name of a Release's child is its child: by label, or by owner where the label
    was taken away. `name`: of the Release.
    """
    if (metadata.get("labels") or {}).get(RELEASE_LABEL) == name:
        return True
    owners = {reference.get("uid") for reference in metadata.get("ownerReferences") or []}
    return owner is not None and owner["uid"] in owners


def taken(resource: Resource, namespace: str, name: str) -> str:
    """What people read where an object that is not ours has the name of a child."""
    return f"{resource.kind} {namespace}/{name} belongs to something else. Delete or rename it, or rename the Release."


def is_child(key: Key, item: Mapping[str, Any]) -> bool:
    """Among objects with our labels: whether it has the name of a child, so that it is none that somebody copied."""
    metadata = item["metadata"]
    labels = metadata.get("labels") or {}
    revision = labels.get(REVISION_LABEL)
    if labels.get(PART_LABEL) == PREVIEW:
        return bool(metadata["name"] == preview_name(key.name))
    return bool(metadata["name"] == (child_name(key.name, revision) if revision else key.name))


def child_revision(key: Key, item: Mapping[str, Any]) -> str:
    """The revision that a child of ours is made for; empty for any other object with our labels."""
    revision = (item["metadata"].get("labels") or {}).get(REVISION_LABEL)
    return str(revision) if revision and is_child(key, item) else ""


def revision_of_copy(key: Key, name: str) -> str:
    """The revision whose copy of a ConfigMap has this name; empty where it is no such name."""
    revision, dash, rest = name.removeprefix(f"{key.name}-").partition("-")
    is_copy = bool(key.name and rest and dash) and name.startswith(f"{key.name}-") and _REVISION.fullmatch(revision)
    return revision if is_copy else ""


def copied_revision(key: Key, item: Mapping[str, Any]) -> str:
    """The revision whose copy of a ConfigMap this is; empty for one that only has our labels, or such a name."""
    metadata = item["metadata"]
    revision = revision_of_copy(key, metadata["name"])
    labelled = (metadata.get("labels") or {}).get(REVISION_LABEL) == revision
    return revision if labelled and COPY_OF in (metadata.get("annotations") or {}) else ""


def relabelled(found: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any] | None:
    """An object of ours whose labels somebody took away, with them; None where it has them."""
    before = found["metadata"].get("labels") or {}
    if labels.items() <= before.items():
        return None
    return {**found, "metadata": {**found["metadata"], "labels": {**before, **labels}}}


def labels_of(key: Key, revision: str = "") -> dict[str, str]:
    """Of a child; `revision` is empty where it belongs to none."""
    labels = {RELEASE_LABEL: key.name, MANAGED_BY_LABEL: MANAGED_BY}
    return labels | {REVISION_LABEL: revision} if revision else labels


def child_metadata(key: Key, name: str, labels: Mapping[str, str], owner: Mapping[str, Any] | None) -> dict[str, Any]:
    """Of what is made for the Release; `labels` besides those that say whose it is."""
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": key.namespace,
        "labels": {**labels_of(key), **labels},
    }
    if owner is not None:
        metadata["ownerReferences"] = [dict(owner)]
    return metadata


def deployment(
    key: Key,
    revision: str,
    replicas: int,
    *,
    template: Mapping[str, Any],
    deadline_s: float,
    owner: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Its selector and template never change: it is touched through /scale, and where somebody else has changed it."""
    pods = copy.deepcopy(dict(template))
    metadata = pods.setdefault("metadata", {})
    metadata["labels"] = {**(metadata.get("labels") or {}), **selector(key.name, revision)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": child_metadata(key, child_name(key.name, revision), {REVISION_LABEL: revision}, owner),
        "spec": {
            "replicas": replicas,
            "progressDeadlineSeconds": int(deadline_s),
            "revisionHistoryLimit": 0,
            "selector": {"matchLabels": selector(key.name, revision)},
            "template": pods,
        },
    }


def config_copy(
    key: Key, revision: str, name: str, content: Mapping[str, Any], owner: Mapping[str, Any] | None
) -> dict[str, Any]:
    """A revision's copy of the ConfigMap `name`; it is immutable."""
    metadata = child_metadata(key, copy_name(key.name, revision, name), {REVISION_LABEL: revision}, owner)
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    return {**kind, "metadata": metadata | {"annotations": {COPY_OF: name}}, "immutable": True, **content}


def service(
    key: Key,
    name: str,
    selects: Mapping[str, str],
    *,
    labels: Mapping[str, str],
    ports: tuple[Mapping[str, Any], ...],
    owner: Mapping[str, Any] | None,
) -> dict[str, Any]:
    spec: dict[str, Any] = {"selector": dict(selects), "ports": [dict(port) for port in ports]}
    if not ports:
        # nobody calls it; its EndpointSlices still tell which pods are ready
        spec = {"selector": dict(selects), "clusterIP": "None"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": child_metadata(key, name, labels, owner), "spec": spec}


def service_patch(
    found: Mapping[str, Any],
    selects: Mapping[str, str],
    ports: Iterable[Mapping[str, Any]],
    *,
    labels: Mapping[str, str],
) -> dict[str, Any]:
    """Of the Service `found`, and of none that was written since. What else its selector names goes."""
    return {
        "metadata": {"resourceVersion": found["metadata"]["resourceVersion"], "labels": dict(labels)},
        "spec": {
            "selector": dict.fromkeys(found["spec"].get("selector") or {}) | dict(selects),
            "ports": [dict(port) for port in ports],
        },
    }


def controller_revision(
    key: Key,
    revision: str,
    number: int,
    *,
    template: Mapping[str, Any],
    ports: Sequence[Mapping[str, Any]],
    owner: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Keeps what is versioned as the user wrote it, so that it can be made again while the spec asks for another."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": child_metadata(key, child_name(key.name, revision), {REVISION_LABEL: revision}, owner),
        "data": {"template": copy.deepcopy(dict(template)), "ports": [dict(port) for port in ports]},
        "revision": number,
    }
