"""A narrow client over `kubernetes.aio`: raw JSON in and out, every call with a timeout and typed errors.

The generated classes cost more CPU to build than the requests do, and drop fields they do not know; what a
person wrote must pass through unchanged.
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import aiohttp

from controller.api.names import MANAGED_BY
from controller.api.resources import LEASES, Resource
from controller.kube.clock import SteadyClock
from controller.kube.connection import connection
from controller.kube.errors import (
    SHOWN,
    ConflictError,
    FencedError,
    InvalidError,
    KindsGoneError,
    KubeError,
    NotFoundError,
    UnavailableError,
    error_of,
    foreign_answer,
    object_in,
    of_no_object,
)

if TYPE_CHECKING:
    from kubernetes.aio.client import ApiClient, Configuration

__all__ = [
    "ConflictError",
    "FencedError",
    "InvalidError",
    "Items",
    "KindsGoneError",
    "KubeClient",
    "KubeError",
    "NotFoundError",
    "UnavailableError",
]

_TIMEOUT_S = 10.0
_PAGE = 500
_REMEMBERED_WRITES = 20_000
_DELETED = "deleted"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_MANAGER = {"fieldManager": MANAGED_BY}
"""So that managedFields tell our writes from those of others, whatever they are written in."""
_STRICT = {"fieldValidation": "Strict"}
MERGE_PATCH = "application/merge-patch+json"


_LEADING = f"/apis/{LEASES.group}/"
_FIRST_ERROR = 400


Items = list[dict[str, Any]]


def _items_of(page: Mapping[str, Any], resource: Resource) -> Items:
    """Raises UnavailableError where it is no list."""
    items = page.get("items", ())
    if items is not None and not isinstance(items, list):  # Go writes null for an empty list
        raise foreign_answer(f"GET {resource.plural}", str(page))
    return items or []


def _why(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorError():
            number = error.os_error.errno
            problem = os.strerror(number) if number else str(error.os_error)
            return f"{problem} at {error.host}:{error.port}; is the cluster up?"
        case TimeoutError():
            return "no answer in time"
        case _:
            return str(error) or type(error).__name__


class KubeClient:
    """One connection pool to one API server."""

    def __init__(self, api: ApiClient, namespace: str = "default") -> None:
        self._api = api
        self.namespace = namespace
        """What the kubeconfig's context names, for commands that are given none."""
        self.requests = 0
        self.clock = SteadyClock()
        self.may_write: Callable[[], bool] = lambda: True
        """Asked right before each write; a leader that was frozen finds out here, and not when its Lease is renewed."""
        self._wrote: OrderedDict[str, str] = OrderedDict()
        self._headers: Mapping[str, str] = {}

    @classmethod
    async def connect(cls, kubeconfig: str | None = None) -> KubeClient:
        """From a kubeconfig file, from KUBECONFIG or ~/.kube/config, or from within a pod. Raises UnavailableError."""
        return cls(*await connection(kubeconfig))

    @property
    def configuration(self) -> Configuration:
        configuration: Configuration = self._api.configuration
        return configuration

    async def close(self) -> None:
        await self._api.close()

    def acting_as(self, namespace: str, account: str) -> KubeClient:
        """With the rights of a ServiceAccount, over the same connections. The API server adds the account's groups."""
        other = KubeClient(self._api, namespace)
        other._headers = {"Impersonate-User": f"system:serviceaccount:{namespace}:{account}"}
        other.may_write = self.may_write
        other.clock = self.clock
        return other

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout_s: float = _TIMEOUT_S,
    ) -> dict[str, Any]:
        """Raises KubeError. A cut connection is an UnavailableError, whatever it was cut by."""
        self.requests += 1
        if method != "GET" and not path.startswith(_LEADING) and not self.may_write():
            raise FencedError(0, "Fenced", f"{method} {path} was not sent: the Lease was not renewed in time")
        sent_at = self.clock.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._send(
                    method, path, query, body, {"Accept": accept, "Content-Type": content_type}, timeout_s
                )
                self.clock.hear(response.headers.get("Date", ""), sent_at)
                raw = await response.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise UnavailableError(
                0, "NoAnswer", f"the API server did not answer {method} {path}: {_why(error)}"
            ) from error
        answer, said = object_in(raw), raw[:SHOWN].decode(errors="replace")
        if response.status >= _FIRST_ERROR:
            shown = of_no_object(response.status, path, said) if answer is None else answer
            raise error_of(response.status, shown, response.headers)
        if answer is None:
            raise foreign_answer(f"{method} {path}", said, response.status)
        return answer

    async def stream(
        self, path: str, query: Mapping[str, str], *, timeout_s: float, accept: str = "application/json"
    ) -> aiohttp.ClientResponse:
        """An answer that is still open, for watches and logs. The caller releases it."""
        self.requests += 1
        try:
            response = await self._send("GET", path, query, None, {"Accept": accept}, timeout_s)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise UnavailableError(0, "NoAnswer", f"the API server did not answer GET {path}: {_why(error)}") from error
        if response.status >= _FIRST_ERROR:
            async with response:
                raw = await response.read()
            shown = object_in(raw) or of_no_object(response.status, path, raw[:SHOWN].decode(errors="replace"))
            raise error_of(response.status, shown, response.headers)
        return response

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: object,
        headers: dict[str, str],
        timeout_s: float,
    ) -> aiohttp.ClientResponse:
        headers |= self._headers
        await self._api.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        url = self.configuration.host + path + (f"?{urlencode(query)}" if query else "")
        answer = await self._api.rest_client.request(
            method, url, headers=headers, body=body, _request_timeout=aiohttp.ClientTimeout(total=timeout_s)
        )
        response: aiohttp.ClientResponse = answer.response
        return response

    def is_own_write(self, metadata: Mapping[str, Any]) -> bool:
        """Whether a watch shows what this process wrote itself: it knows that already, and decided on it."""
        return self._wrote.get(metadata["uid"], "") in (str(metadata["resourceVersion"]), _DELETED)

    def _note_write(self, answer: dict[str, Any]) -> dict[str, Any]:
        metadata = answer.get("metadata", {})
        if "uid" in metadata and "resourceVersion" in metadata:
            self._remember(metadata["uid"], metadata["resourceVersion"])
        return answer

    def _remember(self, uid: str, version: str) -> None:
        self._wrote[uid] = version
        self._wrote.move_to_end(uid)
        if len(self._wrote) > _REMEMBERED_WRITES:
            self._wrote.popitem(last=False)

    # -- verbs ---------------------------------------------------------------------------------------------------

    async def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any]:
        path = resource.path(namespace, name)
        answer = await self.request("GET", path)
        if not isinstance(answer.get("metadata"), dict):
            raise foreign_answer(f"GET {path}", str(answer))
        return answer

    async def find(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any] | None:
        """The object, or None where there is none."""
        try:
            return await self.get(resource, namespace, name)
        except NotFoundError:
            return None

    async def list(self, resource: Resource, namespace: str | None = None, *, labels: str = "") -> list[dict[str, Any]]:
        """All pages."""
        return (await self.listing(resource, namespace, labels=labels))[0]

    async def listing(self, resource: Resource, namespace: str | None = None, *, labels: str = "") -> tuple[Items, str]:
        """All pages, and the version as of which they are: what is older and is not among them is gone."""
        items: Items = []
        version = ""
        async for page in self.pages(resource, namespace, labels=labels):
            items += page["items"]
            version = str(page["metadata"].get("resourceVersion", ""))
        return items, version

    async def list_versions(self, resource: Resource, namespace: str | None = None) -> dict[tuple[str, str], str]:
        """ResourceVersion by namespace and name, of all namespaces: metadata only, page by page."""
        versions: dict[tuple[str, str], str] = {}
        async for page in self.pages(resource, namespace, accept=METADATA_LIST):
            for item in page["items"]:
                metadata = item["metadata"]
                versions[metadata["namespace"], metadata["name"]] = metadata["resourceVersion"]
        return versions

    async def pages(
        self,
        resource: Resource,
        namespace: str | None,
        *,
        labels: str = "",
        accept: str = "application/json",
        most: int = _PAGE,
    ) -> AsyncIterator[dict[str, Any]]:
        """A list in its parts of up to `most`, for who does not want to hold all of it. Its last page has the version
        of them all.
        """
        query = {"limit": str(most)} | ({"labelSelector": labels} if labels else {})
        while True:
            page = await self.request("GET", resource.path(namespace), query=query, accept=accept)
            page["items"] = _items_of(page, resource)
            for item in page["items"]:
                item.setdefault("apiVersion", resource.api_version)
                item.setdefault("kind", resource.kind)
            metadata = page.setdefault("metadata", {})
            yield page
            if not metadata.get("continue"):
                return
            query["continue"] = metadata["continue"]

    async def first_page(
        self, resource: Resource, namespace: str, *, labels: str, fields: str, most: int
    ) -> tuple[Items, bool]:
        """At most so many, and whether there are more. `fields`: as the API server can select by them."""
        query = {"limit": str(most), "labelSelector": labels, "fieldSelector": fields}
        page = await self.request("GET", resource.path(namespace), query=query)
        return _items_of(page, resource), bool(page.get("metadata", {}).get("continue"))

    async def create(
        self, resource: Resource, namespace: str | None, body: Mapping[str, Any], *, strict: bool = False
    ) -> dict[str, Any]:
        """`strict`: an unknown field is refused (InvalidError) and not dropped."""
        query = _MANAGER | (_STRICT if strict else {})
        return self._note_write(await self.request("POST", resource.path(namespace), body=body, query=query))

    async def replace(
        self, resource: Resource, body: Mapping[str, Any], subresource: str | None = None, *, strict: bool = False
    ) -> dict[str, Any]:
        """With the resourceVersion in `body`: ConflictError when it has changed since. `strict`: as in `create`."""
        metadata = body["metadata"]
        path = resource.path(metadata.get("namespace"), metadata["name"], subresource)
        query = _MANAGER | (_STRICT if strict else {})
        return self._note_write(await self.request("PUT", path, body=body, query=query))

    async def patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Mapping[str, Any],
        subresource: str | None = None,
    ) -> dict[str, Any]:
        path = resource.path(namespace, name, subresource)
        return self._note_write(await self.request("PATCH", path, body=body, content_type=MERGE_PATCH, query=_MANAGER))

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, *, seen: Mapping[str, Any] | None = None
    ) -> bool:
        """True when it is gone, False while it waits for somebody's finalizer. Dependents go in the background.

        `seen`: as the object was when this was decided; ConflictError when it has changed since, or is another one.
        """
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if seen is not None:
            metadata = seen["metadata"]
            options["preconditions"] = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        try:
            answer = await self.request("DELETE", resource.path(namespace, name), body=options)
        except NotFoundError:
            return True
        # a Status names the object that is gone; an object may still wait for somebody's finalizer
        uid = answer.get("details", {}).get("uid")
        if answer.get("kind") == "Status" and uid:
            self._remember(uid, _DELETED)
            return True
        return False
