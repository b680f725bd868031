"""Makes, puts back and deletes the copies of ConfigMaps that a version's pods read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from controller.api.configuration import (
    LIVE,
    Content,
    KeptConfiguration,
    content_of,
    copy_name,
    references,
    rewritten,
)
from controller.api.names import RELEASE_LABEL, REVISION_LABEL
from controller.api.resources import CONFIG_MAPS
from controller.kube.cache import ObjectCache
from controller.kube.client import InvalidError, NotFoundError
from controller.kube.config_maps import ConfigMaps
from controller.kube.objects import Key, config_copy, copied_revision, has_owners, is_ours, owners, relabelled, taken
from controller.runtime.observer import World
from controller.runtime.ownership import patch_owners
from controller.runtime.refusals import NameTakenError, RefusedError


class ConfigCopies:
    def __init__(self, kube: ObjectCache, config_maps: ConfigMaps) -> None:
        self._kube = kube
        self._config_maps = config_maps

    async def ensure(self, world: World, revision: str, kept: KeptConfiguration) -> dict[str, str]:
        """The UID of each copy by its name; those that are there, and right, are left as they are.

        Raises KubeError, RefusedError, NameTakenError.
        """
        made = {}
        for name, content in kept.contents.items():
            body = config_copy(world.key, revision, name, content, world.owner)
            try:
                item = await self._ensure(world, body)
            except InvalidError as error:
                raise RefusedError(f"the copy of ConfigMap {name}", error) from error
            self._config_maps.made(item)
            made[item["metadata"]["name"]] = item["metadata"]["uid"]
        return made

    async def _ensure(self, world: World, body: dict[str, Any]) -> dict[str, Any]:
        key, name = world.key, body["metadata"]["name"]
        found = await self._kube.find(CONFIG_MAPS, key.namespace, name)
        if found is None:
            return await self._kube.create(CONFIG_MAPS, key.namespace, body)
        if not is_ours(found["metadata"], key.name, world.owner):
            raise NameTakenError(taken(CONFIG_MAPS, key.namespace, name))
        if not found.get("immutable") or _content(found) != _content(body):
            # what is immutable cannot be written again
            await self._kube.delete(CONFIG_MAPS, key.namespace, name, seen=found)
            return await self._kube.create(CONFIG_MAPS, key.namespace, body)
        changed = relabelled(found, body["metadata"]["labels"])
        return found if changed is None else await self._kube.replace(CONFIG_MAPS, changed)

    async def delete(self, world: World, revisions: Iterable[str]) -> None:
        """All copies of these versions. Raises KubeError."""
        for item in await self._listed(world.key, revisions):
            name = item["metadata"]["name"]
            with contextlib.suppress(NotFoundError):
                await self._kube.delete(CONFIG_MAPS, world.key.namespace, name, seen=item)
            self._config_maps.deleted(world.key, name)

    def stray(self, world: World, kept: frozenset[str]) -> set[str]:
        """Versions that have copies, and no Deployment that was read."""
        copies = self._config_maps.copies(world.key) or {}
        return {copy.revision for copy in copies.values()} - kept - world.deployments.keys()

    async def _listed(self, key: Key, revisions: Iterable[str]) -> list[dict[str, Any]]:
        known = self._config_maps.copies(key)
        wanted = set(revisions)
        if known is not None and not any(copy.revision in wanted for copy in known.values()):
            return []
        found = await self._kube.list_metadata(CONFIG_MAPS, key.namespace, labels=f"{RELEASE_LABEL}={key.name}")
        return [item for item in found if copied_revision(key, item) in wanted]

    async def set_owners(self, world: World) -> None:
        """As spec.deletionPolicy says now. Raises KubeError, NameTakenError."""
        key, known = world.key, self._config_maps.copies(world.key)
        if known is not None and not known:
            return
        for item in await self._kube.list_metadata(
            CONFIG_MAPS, key.namespace, labels=f"{RELEASE_LABEL}={key.name},{REVISION_LABEL}"
        ):
            metadata = item["metadata"]
            if copied_revision(key, item) and not has_owners(world.release, metadata, world.owner):
                await patch_owners(self._kube, CONFIG_MAPS, metadata, owners(world.release, metadata, world.owner))


def with_copies(key: Key, revision: str, template: Mapping[str, Any], kept: KeptConfiguration) -> dict[str, Any]:
    """The template as its pods get it: what is live in it has its own name, and everything else that of a copy.

    A ConfigMap that was not there has no copy. Under its own name it would reach these pods as soon as it is made.
    """
    names = [one.name for one in references(template) if kept.configuration.get(one.name) != LIVE]
    return rewritten(template, {name: copy_name(key.name, revision, name) for name in names})


def _content(config_map: Mapping[str, Any]) -> Content:
    return content_of(config_map, None)
