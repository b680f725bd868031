"""What stands on the other side of the ports in contract tests."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from controller.api.resources import Resource
from controller.kube.client import ConflictError, UnavailableError
from tests.serving import serving


class FakeKube:
    """An API server as routers see it. Writes are counted, and one over a version that was not read is refused."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.writes = 0
        self.down = False
        self._version = 0

    def put(self, resource: Resource, body: Mapping[str, Any]) -> None:
        """As somebody else would, with no right of ours."""
        self._keep(resource, body)

    def raw(self, resource: Resource, name: str) -> dict[str, Any] | None:
        return copy.deepcopy(self.objects.get((resource.path(), name)))

    async def find(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any] | None:
        self._refuse_if_down()
        return self.raw(resource, name)

    async def list(self, resource: Resource, namespace: str | None = None, *, labels: str = "") -> list[dict[str, Any]]:
        self._refuse_if_down()
        wanted = dict(pair.split("=") for pair in labels.split(",") if pair)
        return [
            copy.deepcopy(item)
            for (path, _), item in self.objects.items()
            if path == resource.path() and wanted.items() <= (item["metadata"].get("labels") or {}).items()
        ]

    async def create(
        self, resource: Resource, namespace: str | None, body: Mapping[str, Any], *, strict: bool = False
    ) -> dict[str, Any]:
        del strict
        self._refuse_if_down()
        if self.raw(resource, body["metadata"]["name"]) is not None:
            raise ConflictError(409, "AlreadyExists", "it is there already")
        return self._write(resource, body)

    async def replace(self, resource: Resource, body: Mapping[str, Any], *, strict: bool = False) -> dict[str, Any]:
        del strict
        self._refuse_if_down()
        seen = self.raw(resource, body["metadata"]["name"])
        version = body["metadata"].get("resourceVersion")
        if seen is None or version != seen["metadata"]["resourceVersion"]:
            raise ConflictError(409, "Conflict", "the object has been modified")
        return self._write(resource, body)

    async def delete(
        self, resource: Resource, namespace: str, name: str, *, seen: Mapping[str, Any] | None = None
    ) -> bool:
        self._refuse_if_down()
        found = self.raw(resource, name)
        if found is None:
            return True
        if seen is not None and seen["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]:
            raise ConflictError(409, "Conflict", "the object has been modified")
        self.writes += 1
        del self.objects[resource.path(), name]
        return True

    def _refuse_if_down(self) -> None:
        if self.down:
            raise UnavailableError(503, "ServiceUnavailable", "the API server is not there")

    def _write(self, resource: Resource, body: Mapping[str, Any]) -> dict[str, Any]:
        self.writes += 1
        return self._keep(resource, body)

    def _keep(self, resource: Resource, body: Mapping[str, Any]) -> dict[str, Any]:
        self._version += 1
        kept = copy.deepcopy(dict(body))
        kept["metadata"] = {**kept["metadata"], "resourceVersion": str(self._version)}
        self.objects[resource.path(), kept["metadata"]["name"]] = kept
        return copy.deepcopy(kept)


Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


async def hang(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


def say(status: str, body: bytes) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        await writer.drain()

    return answer


@asynccontextmanager
async def http_server(answer: Answer) -> AsyncIterator[str]:
    """The url of a server that answers everything so."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await answer(writer)

    async with serving(converse) as port:
        yield f"http://127.0.0.1:{port}"
