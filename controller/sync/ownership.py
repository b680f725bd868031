"""Whose an object is, before it is written or deleted: what is not this repository's is left alone.

An object moves from one ReleaseRepository to another without ever being gone. The one that has lost it from its commit
leaves it to the one that names it in its inventory; that one waits until it does.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from controller.api.names import ADOPT, REPOSITORY_LABEL
from controller.api.resources import RELEASE_REPOSITORIES, Resource
from controller.kube.client import KubeClient, KubeError
from controller.kube.objects import Key
from controller.sync import cluster
from controller.sync.inventory import MANAGER, Inventory, from_lines
from controller.sync.manifests import ObjectId, Wanted
from controller.sync.planning import Place, Source

_PAGE = 20
"""An inventory has up to a megabyte."""
_SHORTENED = re.compile(r".*\.[0-9a-f]{16}")


class ForeignError(Exception):
    """The object is somebody else's, or may be; says whose, and what to do."""


@dataclass(frozen=True)
class Follower:
    """Another ReleaseRepository, as far as objects are concerned."""

    key: Key
    url: str
    branch: str
    suspended: bool
    observed: str
    """Its newest commit."""
    inventory: Inventory

    def follows(self, source: Source) -> bool:
        return not self.suspended and (self.url, self.branch) == (source.url, source.branch)


class Owners:
    """By the inventories of all ReleaseRepositories, as they are when somebody wants to know."""

    def __init__(self, kube: KubeClient) -> None:
        """`kube`: with the agent's own rights."""
        self._kube = kube

    async def has(self, label: str, key: ObjectId) -> bool:
        """Whether the repository with this label is there and names the object. Raises KubeError."""
        namespace, _, name = label.partition(".")
        if not namespace or not name:
            return True
        found = await self._kube.find(RELEASE_REPOSITORIES, namespace, name)
        if found is None:
            return _SHORTENED.fullmatch(label) is not None  # the digest of a name that is not known
        return key in from_lines((found.get("status") or {}).get("inventory") or ())

    async def others(self, place: Place) -> AsyncIterator[Follower]:
        """All others of its namespace: a name in somebody else's inventory keeps no object here. Raises KubeError."""
        async for page in self._kube.pages(RELEASE_REPOSITORIES, place.namespace, most=_PAGE):
            for item in page["items"]:
                key = Key(item["metadata"]["namespace"], item["metadata"]["name"])
                if key != Key(place.namespace, place.name):
                    yield _follower(key, item)


def _follower(key: Key, item: Mapping[str, Any]) -> Follower:
    spec, status = item.get("spec") or {}, item.get("status") or {}
    return Follower(
        key,
        url=str(spec.get("url", "")),
        branch=str(spec.get("branch", "")),
        suspended=bool(spec.get("suspend")),
        observed=str(status.get("observedCommit", "")),
        inventory=from_lines(status.get("inventory") or ()),
    )


@dataclass(frozen=True)
class Leaving:
    """What becomes of objects that have gone from a repository."""

    moved: Mapping[ObjectId, Key]
    """To a repository that names them."""
    awaited: Collection[Key]
    """Repositories of the same branch that have not seen this commit yet, and may name some."""


async def leaving(owners: Owners, place: Place, gone: Collection[ObjectId], source: Source, commit: str) -> Leaving:
    """Raises KubeError."""
    moved, awaited = dict[ObjectId, Key](), list[Key]()
    async for other in owners.others(place):
        moved |= {key: other.key for key in gone if key in other.inventory}
        if other.follows(source) and other.observed != commit:
            awaited.append(other.key)
    return Leaving(moved, awaited)


async def refuse_foreign(
    kube: KubeClient, owners: Owners, place: Place, item: Wanted, resource: Resource, inventory: Inventory
) -> None:
    """Of an object without this repository's label. `kube`: with the account's rights.

    Raises ForeignError, KubeError.
    """
    try:
        there = await cluster.metadata_of(kube, resource, item.id)
    except KubeError as error:
        if error.status != cluster.FORBIDDEN:
            raise
        raise ForeignError(
            f"is not applied, because whose it is cannot be read; allow the account `get`: {error}"
        ) from error
    if there is None:
        return
    label = str((there.get("labels") or {}).get(REPOSITORY_LABEL, ""))
    if label == place.label:
        return
    if label:
        if await owners.has(label, item.id):
            raise ForeignError(
                f"belongs to ReleaseRepository {label}; take it out of that one's commit, and it is left to this one"
            )
        return
    entry = inventory.get(item.id)
    if (entry is not None and entry.is_applied) or _was_ours(there) or _adopts(item.body):
        return
    raise ForeignError(
        f"is there already, made by {_makers(there)}; delete it, or take it over with the annotation {ADOPT}: "
        '"true" in the manifest'
    )


def _was_ours(metadata: Mapping[str, Any]) -> bool:
    """Somebody has taken the label off."""
    return any(
        entry.get("manager") == MANAGER and entry.get("operation") == "Apply"
        for entry in metadata.get("managedFields") or ()
    )


def _adopts(body: Mapping[str, Any]) -> bool:
    return (body["metadata"].get("annotations") or {}).get(ADOPT) == "true"


def _makers(metadata: Mapping[str, Any]) -> str:
    found = sorted({str(entry.get("manager", "")) for entry in metadata.get("managedFields") or ()} - {""})
    return " and ".join(found[:3]) or "somebody else"
