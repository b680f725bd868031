"""A bad network before a ledger's server: what is asked goes wrong on its way, by name."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum, auto
from typing import assert_never

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

_OF_THE_CONNECTION = {"connection", "content-length", "date", "host", "keep-alive", "server", "transfer-encoding"}
_THROTTLED = ("ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded")
_LATE_S = 0.3


class Trouble(Enum):
    NONE = auto()
    GONE = auto()
    """The connection ends, and nothing has arrived."""
    SILENT = auto()
    """Nothing arrives and nothing comes back, for longer than anybody waits."""
    LOST = auto()
    """It arrives, and the answer does not."""
    DOUBLED = auto()
    """It arrives twice; the second answer comes back."""
    LATE = auto()
    THROTTLED = auto()
    """Refused as DynamoDB refuses it, by each of its names in turn."""


class Between:
    """Passes on to `url`. `trouble` is asked for each request: `UpdateItem` in DynamoDB, `PUT` over HTTP."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.trouble: Callable[[str], Trouble] = lambda _: Trouble.NONE
        self.asked: list[str] = []
        self._names = itertools.cycle(_THROTTLED)
        self._over = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Between"]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._take)
        async with (
            aiohttp.ClientSession(auto_decompress=False, trust_env=False) as self._session,
            TestServer(app) as self._server,
        ):
            try:
                yield self
            finally:
                self._over.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    async def _take(self, request: web.Request) -> web.StreamResponse:
        asked = request.headers.get("X-Amz-Target", request.method).rpartition(".")[2]
        self.asked.append(asked)
        body = await request.read()
        trouble = self.trouble(asked)
        match trouble:
            case Trouble.NONE:
                return await self._passed_on(request, body)
            case Trouble.GONE:
                return _cut(request)
            case Trouble.SILENT:
                await self._over.wait()
                return _cut(request)
            case Trouble.LOST:
                await self._passed_on(request, body)
                return _cut(request)
            case Trouble.DOUBLED:
                await self._passed_on(request, body)
                return await self._passed_on(request, body)
            case Trouble.LATE:
                answer = await self._passed_on(request, body)
                await asyncio.sleep(_LATE_S)
                return answer
            case Trouble.THROTTLED:
                said = {"__type": f"com.amazonaws.dynamodb.v20120810#{next(self._names)}", "message": "slow down"}
                return web.json_response(said, status=400, content_type="application/x-amz-json-1.0")
            case _:
                assert_never(trouble)

    async def _passed_on(self, request: web.Request, body: bytes) -> web.Response:
        url = self._url + request.path_qs
        async with self._session.request(request.method, url, data=body, headers=_kept(request.headers)) as answer:
            return web.Response(status=answer.status, body=await answer.read(), headers=_kept(answer.headers))


def _kept(headers) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _OF_THE_CONNECTION}


def _cut(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()
