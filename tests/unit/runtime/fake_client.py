"""A KubeClient whose requests are answered in memory, through a weather that can do to them what networks do."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, Self, cast

import aiohttp

from controller.kube.client import METADATA_LIST, KubeClient
from tests.unit.runtime.fake_api import Answer, Change, FakeApi, Place, refusal

LATENCY_S = 0.002
_BOOKMARK_S = 60.0


@dataclass(frozen=True)
class Request:
    client: str
    number: int
    """Of this client, from 1."""
    method: str
    place: Place
    body: Any

    @property
    def is_write(self) -> bool:
        return self.method != "GET"

    def __str__(self) -> str:
        place = self.place
        where = "/".join(part for part in (place.collection.rsplit("/")[-1], place.name, place.subresource) if part)
        return f"{self.client}: {self.method} {where}"


class Weather:
    """Fair: every request is answered, every event arrives once. Faults are subclasses."""

    async def serve(self, request: Request, execute: Callable[[], Answer]) -> Answer:
        del request
        return execute()

    def deliver(self, client: str, change: Change) -> list[Change]:
        """What of a change reaches a watch now."""
        del client
        return [change]


class FakeContent:
    """A body that comes in pieces, which know nothing of lines."""

    def __init__(self, lines: AsyncIterator[bytes]) -> None:
        self._lines = lines

    async def iter_any(self) -> AsyncIterator[bytes]:
        async for line in self._lines:
            middle = len(line) // 2
            yield line[:middle]
            yield line[middle:]


class FakeResponse:
    """The part of aiohttp's response that the client uses."""

    def __init__(self, status: int, raw: bytes, headers: Mapping[str, str]) -> None:
        self.status = status
        self.headers = headers
        self._raw = raw
        self.content = FakeContent(_nothing())

    async def read(self) -> bytes:
        return self._raw

    async def text(self) -> str:
        return self._raw.decode()

    def close(self) -> None:
        return None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


class FakeClient(KubeClient):
    def __init__(self, api: FakeApi, weather: Callable[[], Weather], name: str) -> None:
        super().__init__(cast("Any", None))
        self.name = name
        self.log: list[tuple[float, Request, int]] = []
        """When each request was answered, and with what."""
        self._fake = api
        self._weather = weather
        self._numbers = itertools.count(1)

    async def close(self) -> None:
        return None

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: object,
        headers: dict[str, str],
        timeout_s: float,
    ) -> aiohttp.ClientResponse:
        request = Request(self.name, next(self._numbers), method, Place.of(path), body)
        asked = dict(query or {})
        await asyncio.sleep(LATENCY_S)
        executed = (
            (lambda: self._begin_watch(asked))
            if "watch" in asked
            else (lambda: self._fake.handle(method, path, asked, body))
        )
        answer = await self._weather().serve(request, executed)
        self.log.append((asyncio.get_running_loop().time(), request, answer.status))
        if answer.status == 200 and headers["Accept"] == METADATA_LIST:
            items = [{"metadata": item["metadata"]} for item in answer.body["items"]]
            answer = Answer(200, {**answer.body, "items": items})
        answered = {**answer.headers, "Date": formatdate(self._fake.wall(), usegmt=True)}
        response = FakeResponse(answer.status, json.dumps(answer.body).encode(), answered)
        if "watch" in asked and answer.status == 200:
            response.content = FakeContent(self._stream(request.place, asked, timeout_s))
        return cast("aiohttp.ClientResponse", response)

    def _begin_watch(self, query: Mapping[str, str]) -> Answer:
        if int(query["resourceVersion"]) < self._fake.compacted:
            return refusal(410, "Expired", "too old resource version")
        return Answer(200, {})

    async def _stream(self, place: Place, query: Mapping[str, str], timeout_s: float) -> AsyncIterator[bytes]:
        loop, arrived = asyncio.get_running_loop(), asyncio.Event()
        version = int(query["resourceVersion"])
        end, cut = loop.time() + float(query["timeoutSeconds"]), loop.time() + timeout_s

        def told(change: Change) -> None:
            if change.collection == place.collection:
                loop.call_soon_threadsafe(arrived.set)  # a second operator may have a loop of its own

        self._fake.listeners.append(told)
        try:
            while loop.time() < min(end, cut):
                arrived.clear()
                if self._fake.compacted > version:
                    yield _line("ERROR", refusal(410, "Expired", "too old resource version").body)
                    return
                for change in list(self._fake.since(version, place.collection)):
                    version = change.version
                    seen = change.to(query.get("labelSelector", ""))
                    if seen is not None:
                        for delivered in self._weather().deliver(self.name, seen):
                            yield _line(delivered.type, delivered.object)
                try:
                    async with asyncio.timeout(min(_BOOKMARK_S, max(0.0, end - loop.time()))):
                        await arrived.wait()
                except TimeoutError:
                    version = max(version, self._fake.version)
                    yield _line("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})
        finally:
            self._fake.listeners.remove(told)


def _line(kind: str, item: Mapping[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": item}).encode() + b"\n"


async def _nothing() -> AsyncIterator[bytes]:
    empty: tuple[bytes, ...] = ()
    for line in empty:
        yield line
