"""Server-side apply of objects of any kind, and where a kind lives: what the API server's discovery says of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from controller.api.resources import Resource
from controller.kube.client import METADATA, ConflictError, KubeClient, KubeError, NotFoundError
from controller.kube.errors import foreign_answer

APPLY = "application/apply-patch+yaml"
_SUBRESOURCE = "/"
_MOST_VERSIONS = 1_000
"""That are kept."""
_SERVED_FOR_S = 5.0
"""The list of versions: a kind that was missing just now may have come."""
_AT_ONCE = 8
_FORBIDDEN = 403


@dataclass(frozen=True)
class Kind:
    resource: Resource
    namespaced: bool


class Discovery:
    """The kinds of each version of a group, as they were when it was last read."""

    def __init__(self) -> None:
        self._versions: dict[str, tuple[float, dict[str, Kind]]] = {}
        self._served: tuple[float, frozenset[str]] = (float("-inf"), frozenset())

    async def find(self, kube: KubeClient, api_version: str, kind: str, *, older_than_s: float) -> Kind | None:
        """None: there is no such kind. What was read longer ago is read again where it is missing. Raises KubeError."""
        found = (await self.find_all(kube, [(api_version, kind)], older_than_s=older_than_s))[api_version, kind]
        if isinstance(found, KubeError):
            raise found
        return found

    async def find_all(
        self, kube: KubeClient, wanted: Iterable[tuple[str, str]], *, older_than_s: float
    ) -> dict[tuple[str, str], Kind | KubeError | None]:
        """By version and kind. None: there is no such kind. An error: the API that has the version did not answer.

        Strangers may name thousands of versions: only those that the server has are read. Raises KubeError where the
        server does not say which those are, or says nothing to this caller.
        """
        found: dict[tuple[str, str], Kind | KubeError | None] = {one: self._known(*one) for one in wanted}
        now = asyncio.get_running_loop().time()
        missing = {version for (version, _), kind in found.items() if kind is None}
        old = {one for one in missing if now - self._versions.get(one, (float("-inf"), {}))[0] >= older_than_s}
        if old and now - self._served[0] >= min(older_than_s, _SERVED_FOR_S):
            self._served = now, await _served(kube)
        errors = await self._read(kube, sorted(old & self._served[1]))
        for version, kind in found:
            found[version, kind] = self._known(version, kind) or errors.get(version)
        return found

    def _known(self, api_version: str, kind: str) -> Kind | None:
        return self._versions.get(api_version, (0.0, {}))[1].get(kind)

    async def _read(self, kube: KubeClient, versions: Iterable[str]) -> dict[str, KubeError]:
        """Those that could not be read. Raises KubeError for a caller that may not read them."""
        places, errors = asyncio.Semaphore(_AT_ONCE), dict[str, KubeError]()

        async def one(version: str) -> None:
            async with places:
                try:
                    kinds = await _read(kube, version)
                except KubeError as error:
                    errors[version] = error
                    return
            self._versions.pop(version, None)
            self._versions[version] = (asyncio.get_running_loop().time(), kinds)

        await asyncio.gather(*map(one, versions))
        forbidden = next((error for error in errors.values() if error.status == _FORBIDDEN), None)
        if forbidden is not None:
            raise forbidden
        while len(self._versions) > _MOST_VERSIONS:
            del self._versions[next(iter(self._versions))]
        return errors

    def forget(self) -> None:
        self._versions.clear()
        self._served = (float("-inf"), frozenset())


async def _served(kube: KubeClient) -> frozenset[str]:
    answer = await kube.request("GET", "/apis")
    try:
        found = {one["groupVersion"] for group in answer.get("groups") or () for one in group["versions"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise foreign_answer("GET /apis", str(answer)) from error
    return frozenset({"v1", *found})


async def _read(kube: KubeClient, api_version: str) -> dict[str, Kind]:
    group, _, version = api_version.rpartition("/")
    path = f"/apis/{group}/{version}" if group else f"/api/{version}"
    try:
        answer = await kube.request("GET", path)
    except NotFoundError:
        return {}
    try:
        return {
            one["kind"]: Kind(Resource(group, version, one["name"], one["kind"]), bool(one["namespaced"]))
            for one in answer.get("resources") or ()
            if _SUBRESOURCE not in one["name"]
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise foreign_answer(f"GET {path}", str(answer)) from error


async def apply(
    kube: KubeClient, resource: Resource, body: Mapping[str, Any], *, manager: str, force: bool
) -> dict[str, Any]:
    """The object as it is then. ConflictError: other managers have some of its fields; see `managers_of`.
    Raises KubeError.
    """
    metadata = body["metadata"]
    query = {"fieldManager": manager, "force": str(force).lower(), "fieldValidation": "Strict"}
    path = resource.path(metadata.get("namespace"), metadata["name"])
    answer = await kube.request("PATCH", path, query=query, body=body, content_type=APPLY, timeout_s=30.0)
    if not isinstance(answer.get("metadata"), dict):
        raise foreign_answer(f"PATCH {path}", str(answer))
    return answer


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
    path = resource.path(namespace, name)
    try:
        metadata = (await kube.request("GET", path, accept=METADATA)).get("metadata")
    except NotFoundError:
        return None
    if not isinstance(metadata, dict):
        raise foreign_answer(f"GET {path}", str(metadata))
    return metadata
