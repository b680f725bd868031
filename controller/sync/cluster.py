"""What is there of a repository's objects: read by lists of metadata, so that a thousand cost a few requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

from controller.api.names import REPOSITORY_LABEL
from controller.api.resources import HORIZONTAL_POD_AUTOSCALERS, Resource
from controller.kube.applying import find_metadata
from controller.kube.client import METADATA_LIST, InvalidError, KubeClient, NotFoundError
from controller.sync.manifests import ObjectId, targets_of

AT_ONCE = 8
"""Requests of one repository."""
_FORBIDDEN = 403
_UNREADABLE = frozenset({_FORBIDDEN, 405})
"""A kind such as SubjectAccessReview has no objects that may be read."""
_FEW = 3
"""Of one kind in one namespace are read one by one."""

T = TypeVar("T")
R = TypeVar("R")


async def each(items: Iterable[T], do: Callable[[T], Awaitable[R]]) -> list[R]:
    """Some at once, the results in the items' order. The first error ends it."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(item: T) -> R:
        async with places:
            return await do(item)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(item)) for item in items]
    except BaseExceptionGroup as errors:
        raise _first(errors) from errors
    return [task.result() for task in tasks]


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


async def read(
    kube: KubeClient, objects: Mapping[ObjectId, Resource], repository: str
) -> dict[ObjectId, Mapping[str, Any]]:
    """The metadata of those that are there and have the repository's label. Raises KubeError.

    Where an account may not list a kind its objects are read one by one; one that it may not read either counts as not
    there, and is applied again.
    """
    groups: dict[tuple[Resource, str], list[ObjectId]] = {}
    for key, resource in objects.items():
        groups.setdefault((resource, key.namespace), []).append(key)

    async def group(place: tuple[Resource, str]) -> dict[ObjectId, Mapping[str, Any]] | None:
        keys = groups[place]
        return None if len(keys) <= _FEW else await _listed(kube, *place, keys, repository)

    parts = dict(zip(groups, await each(groups, group), strict=True))
    found = {key: one for part in parts.values() if part is not None for key, one in part.items()}
    single = [key for place, part in parts.items() if part is None for key in groups[place]]

    async def one(key: ObjectId) -> Mapping[str, Any] | None:
        return await metadata_of(kube, objects[key], key)

    return found | {
        key: metadata
        for key, metadata in zip(single, await each(single, one), strict=True)
        if metadata is not None and (metadata.get("labels") or {}).get(REPOSITORY_LABEL) == repository
    }


async def metadata_of(kube: KubeClient, resource: Resource, key: ObjectId) -> Mapping[str, Any] | None:
    """None: it is not there, or may not be read. Raises KubeError."""
    try:
        return await find_metadata(kube, resource, key.namespace or None, key.name)
    except InvalidError as error:
        if error.status not in _UNREADABLE:
            raise
        return None


async def _listed(
    kube: KubeClient, resource: Resource, namespace: str, keys: Iterable[ObjectId], repository: str
) -> dict[ObjectId, Mapping[str, Any]] | None:
    """None: it may not be listed."""
    by_name = {key.name: key for key in keys}
    found = {}
    labels = f"{REPOSITORY_LABEL}={repository}"
    try:
        async for page in kube.pages(resource, namespace or None, labels=labels, accept=METADATA_LIST):
            for item in page["items"]:
                key = by_name.get(item["metadata"]["name"])
                if key is not None:
                    found[key] = item["metadata"]
    except NotFoundError:
        return {}
    except InvalidError as error:
        if error.status not in _UNREADABLE:
            raise
        return None
    return found


async def scaled_by(kube: KubeClient, namespaces: Iterable[str]) -> set[tuple[str, str, str]]:
    """Namespace, group/kind and name of what an autoscaler in the cluster sets the replicas of. Raises KubeError."""

    async def of(namespace: str) -> list[tuple[str, str, str]]:
        try:
            items = await kube.list(HORIZONTAL_POD_AUTOSCALERS, namespace)
        except NotFoundError:
            return []
        except InvalidError as error:
            if error.status != _FORBIDDEN:
                raise
            return []  # those that stand in the repository count all the same
        return [(namespace, kind, name) for item in items for kind, name in targets_of(item)]

    return {target for targets in await each(sorted(set(namespaces)), of) for target in targets}
