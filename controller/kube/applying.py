"""Server-side apply of objects of any kind, and where a kind lives: what the API server's discovery says of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.api.resources import Resource
from controller.kube.client import METADATA, ConflictError, KubeClient, NotFoundError

APPLY = "application/apply-patch+yaml"
_SUBRESOURCE = "/"
_MOST_VERSIONS = 1_000
"""That are kept. Anybody may write the name of one into a manifest."""


@dataclass(frozen=True)
class Kind:
    resource: Resource
    namespaced: bool


class Discovery:
    """The kinds of each version of a group, as they were when it was last read."""

    def __init__(self) -> None:
        self._versions: dict[str, tuple[float, dict[str, Kind]]] = {}

    async def find(self, kube: KubeClient, api_version: str, kind: str, *, older_than_s: float) -> Kind | None:
        """None: there is no such kind. What was read longer ago is read again where it is missing. Raises KubeError."""
        now = asyncio.get_running_loop().time()
        read_at, kinds = self._versions.get(api_version, (float("-inf"), {}))
        if kind not in kinds and now - read_at >= older_than_s:
            kinds = await _read(kube, api_version)
            self._versions.pop(api_version, None)
            self._versions[api_version] = (now, kinds)
            while len(self._versions) > _MOST_VERSIONS:
                del self._versions[next(iter(self._versions))]
        return kinds.get(kind)

    def forget(self) -> None:
        self._versions.clear()


async def _read(kube: KubeClient, api_version: str) -> dict[str, Kind]:
    group, _, version = api_version.rpartition("/")
    path = f"/apis/{group}/{version}" if group else f"/api/{version}"
    try:
        answer = await kube.request("GET", path)
    except NotFoundError:
        return {}
    return {
        one["kind"]: Kind(Resource(group, version, one["name"], one["kind"]), bool(one["namespaced"]))
        for one in answer.get("resources") or ()
        if _SUBRESOURCE not in one["name"]
    }


async def apply(
    kube: KubeClient, resource: Resource, body: Mapping[str, Any], *, manager: str, force: bool
) -> dict[str, Any]:
    """The object as it is then. ConflictError: other managers have some of its fields; see `managers_of`.
    Raises KubeError.
    """
    metadata = body["metadata"]
    query = {"fieldManager": manager, "force": str(force).lower(), "fieldValidation": "Strict"}
    return await kube.request(
        "PATCH",
        resource.path(metadata.get("namespace"), metadata["name"]),
        query=query,
        body=body,
        content_type=APPLY,
        timeout_s=30.0,
    )


@dataclass(frozen=True)
class Claim:
    """A field that somebody else has."""

    manager: str
    field: str


def claims_of(error: ConflictError) -> tuple[Claim, ...]:
    """Whose fields an apply would take; none where the conflict is of another kind."""
    return tuple(
        Claim(cause.get("message", "").partition('"')[2].partition('"')[0], str(cause.get("field", "")))
        for cause in error.causes
        if cause.get("reason") == "FieldManagerConflict"
    )


async def find_metadata(
    kube: KubeClient, resource: Resource, namespace: str | None, name: str
) -> dict[str, Any] | None:
    try:
        answer = await kube.request("GET", resource.path(namespace, name), accept=METADATA)
    except NotFoundError:
        return None
    metadata: dict[str, Any] = answer["metadata"]
    return metadata
