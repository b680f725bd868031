"""Deletes what was applied and has gone from the repository, where that may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.api.names import PRUNE, PRUNE_ALLOW, PRUNE_NEVER
from controller.api.resources import CRDS, NAMESPACES, RELEASES, Resource
from controller.kube.client import ConflictError, FencedError, KubeClient, KubeError
from controller.sync import cluster
from controller.sync.inventory import state_of
from controller.sync.manifests import Failure, ObjectId

_GUARDED = frozenset(
    {
        (RELEASES.group, RELEASES.kind),
        (NAMESPACES.group, NAMESPACES.kind),
        (CRDS.group, CRDS.kind),
        ("", "PersistentVolumeClaim"),
    }
)
"""What takes more along than itself."""


@dataclass(frozen=True)
class Pruned:
    gone: tuple[ObjectId, ...]
    """Nobody looks after them any more: deleted, or left to others."""
    kept: tuple[ObjectId, ...]
    """They wait for the annotation that lets them be deleted."""
    failures: tuple[Failure, ...]
    deleted: int


async def prune(
    kube: KubeClient, resources: Mapping[ObjectId, Resource], stale: Mapping[ObjectId, Mapping[str, Any] | None]
) -> Pruned:
    """`stale`: with the metadata of those that are there and have the repository's label. Raises FencedError."""
    gone, kept = list[ObjectId](), list[ObjectId]()
    going = dict[ObjectId, Mapping[str, Any]]()
    for key, live in stale.items():
        if live is None or _word(live) == PRUNE_NEVER:
            gone.append(key)
        elif _is_guarded(key) and _word(live) != PRUNE_ALLOW:
            kept.append(key)
        else:
            going[key] = live
    failures, deleted = list[Failure](), 0

    async def delete(key: ObjectId) -> Failure | None:
        nonlocal deleted
        try:
            if await _delete(kube, key, resources[key], going[key]):
                deleted += 1
                gone.append(key)
        except FencedError:
            raise
        except KubeError as error:
            return Failure(str(key), f"has gone from the repository and could not be deleted: {error}")
        return None

    for guarded in (False, True):  # what lies in a Namespace, or is made by a CRD, goes before it
        some = [key for key in going if _is_guarded(key) is guarded]
        failures += [one for one in await cluster.each(some, delete) if one is not None]
    return Pruned(tuple(gone), tuple(kept), tuple(failures), deleted)


def _word(metadata: Mapping[str, Any]) -> str:
    return str((metadata.get("annotations") or {}).get(PRUNE, ""))


def _is_guarded(key: ObjectId) -> bool:
    return (key.group, key.kind) in _GUARDED


async def _delete(kube: KubeClient, key: ObjectId, resource: Resource, live: Mapping[str, Any]) -> bool:
    """False: somebody has changed it meanwhile, and the next pass decides anew. Raises KubeError."""
    namespace = key.namespace or None
    try:
        await kube.delete(resource, namespace, key.name, seen={"metadata": live})
    except ConflictError:  # its status may change all the time
        again = await cluster.metadata_of(kube, resource, key)
        if again is None:
            return True
        if state_of(again) != state_of(live) or _word(again) != _word(live):
            return False
        await kube.delete(resource, namespace, key.name, seen={"metadata": again})
    return True
