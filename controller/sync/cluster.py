"""What is there of a repository's objects: read by lists of metadata, so that a thousand cost a few requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from controller.api.names import REPOSITORY_LABEL
from controller.api.resources import HORIZONTAL_POD_AUTOSCALERS, Resource
from controller.kube.applying import find_metadata
from controller.kube.client import METADATA_LIST, KubeClient, KubeError, NotFoundError
from controller.kube.errors import foreign_answer
from controller.sync.manifests import ObjectId, targets_of

AT_ONCE = 8
"""Requests of one repository."""
FORBIDDEN = 403
UNREADABLE = frozenset({FORBIDDEN, 405})
"""A kind such as SubjectAccessReview has no objects that may be read."""
_DOWN = frozenset({0, 429, 502, 503, 504})
"""The API as a whole does not answer."""
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


@dataclass(frozen=True)
class Live:
    """What is there of some objects."""

    found: Mapping[ObjectId, Mapping[str, Any]]
    """Metadata of those with the repository's label."""
    problems: Mapping[ObjectId, KubeError]
    """Of those that could not be looked at."""


async def read(kube: KubeClient, objects: Mapping[ObjectId, Resource], repository: str) -> Live:
    """Where a kind cannot be listed its objects are read one by one; one that the account may not read counts as not
    there. An API that does not answer is not called for each of its objects.
    """
    groups: dict[tuple[Resource, str], list[ObjectId]] = {}
    for key, resource in objects.items():
        groups.setdefault((resource, key.namespace), []).append(key)
    down: dict[str, KubeError] = {}
    found, problems = dict[ObjectId, Mapping[str, Any]](), dict[ObjectId, KubeError]()

    async def group(place: tuple[Resource, str]) -> bool:
        """Whether its objects are to be read one by one."""
        resource, keys = place[0], groups[place]
        if len(keys) <= _FEW or resource.api_version in down:
            return True
        try:
            found.update(await _listed(kube, *place, keys, repository))
        except KubeError as error:
            if error.status in _DOWN:
                down[resource.api_version] = error
            return True
        return False

    async def one(key: ObjectId) -> None:
        version = objects[key].api_version
        if version in down:
            problems[key] = down[version]
            return
        try:
            metadata = await metadata_of(kube, objects[key], key)
        except KubeError as error:
            if error.status in UNREADABLE:
                return
            problems[key] = error
            if error.status in _DOWN:
                down[version] = error
            return
        if metadata is not None and (metadata.get("labels") or {}).get(REPOSITORY_LABEL) == repository:
            found[key] = metadata

    alone = await each(groups, group)
    await each([key for place, single in zip(groups, alone, strict=True) if single for key in groups[place]], one)
    return Live(found, problems)


async def metadata_of(kube: KubeClient, resource: Resource, key: ObjectId) -> Mapping[str, Any] | None:
    """None: it is not there. Raises KubeError."""
    return await find_metadata(kube, resource, key.namespace or None, key.name)


async def _listed(
    kube: KubeClient, resource: Resource, namespace: str, keys: Iterable[ObjectId], repository: str
) -> dict[ObjectId, Mapping[str, Any]]:
    """Raises KubeError."""
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
    except (KeyError, TypeError, AttributeError) as error:
        raise foreign_answer(f"GET {resource.plural}", type(error).__name__) from error
    return found


@dataclass(frozen=True)
class Scaled:
    targets: set[tuple[str, str, str]]
    """Namespace, group/kind and name of what an autoscaler of the cluster sets the replicas of."""
    problems: Mapping[str, KubeError]
    """Of namespaces whose autoscalers could not be read."""


async def scaled_by(kube: KubeClient, namespaces: Iterable[str]) -> Scaled:
    problems: dict[str, KubeError] = {}

    async def of(namespace: str) -> list[tuple[str, str, str]]:
        try:
            items = await kube.list(HORIZONTAL_POD_AUTOSCALERS, namespace)
        except NotFoundError:
            return []
        except KubeError as error:
            if error.status != FORBIDDEN:
                problems[namespace] = error
            return []  # those that stand in the repository count all the same
        return [(namespace, kind, name) for item in items for kind, name in targets_of(item)]

    found = await each(sorted(set(namespaces)), of)
    return Scaled({target for targets in found for target in targets}, problems)
