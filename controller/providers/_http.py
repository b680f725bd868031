"""One server over HTTP: bounded in time, connections and bytes, and whatever goes wrong said in its words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx

from controller.outward.transport import transport
from controller.ports import SourceOutageError, TargetError
from controller.providers._server import MAX_ANSWER_BYTES, Server, is_measured

HTTP_OK = 200
Result = TypeVar("Result")
_CONNECTIONS = 16
_SOONER = 0.9
"""A handshake that is cancelled leaves its socket open, and one that times out by itself closes it."""


class BoundedClient:
    """Opens nothing before the first question."""

    def __init__(
        self,
        server: Server,
        *,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        refusal: Callable[[int, bytes], Exception] | None = None,
        answers: Collection[int] = (HTTP_OK,),
        connections: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`refusal`: what a status and its body mean, where that is not what `Server.refusal` makes of it. `answers`:
        statuses whose bodies have to be whole. `connections`: None: to the addresses that may be connected to.
        """
        self._server = server
        self._headers = {"Accept-Encoding": "identity", **(headers or {})}
        self._auth = auth
        self._refusal = refusal or server.refusal
        self._answers = answers
        self._connections = connections
        self._client: httpx.AsyncClient | None = None

    async def post(
        self,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, str] | bytes,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """The body of an answer 200. `data`: a form, or a body as it is. Raises SourceOutageError, BrokenMetricError,
        TargetError, TimeoutError.
        """
        sent: dict[str, Any] = {"content": data} if isinstance(data, bytes) else {"data": data}
        status, body = await self.exchange("POST", path, **sent, params=params, headers=headers)
        if status != HTTP_OK:
            raise self._refusal(status, body)
        return body

    async def exchange(self, method: str, path: str, **options: Any) -> tuple[int, bytes]:
        """An answer of any status, with its body. `options`: httpx's of a request. Raises as `post` does."""
        try:
            return await self._send(method, path, options)
        except httpx.TimeoutException as error:
            raise TimeoutError from error
        except (httpx.TransportError, OSError) as error:
            raise self._server.unreachable(_cause(error)) from error

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _send(self, method: str, path: str, options: Mapping[str, Any]) -> tuple[int, bytes]:
        if self._client is None:
            limits = httpx.Limits(max_connections=_CONNECTIONS)
            self._client = httpx.AsyncClient(
                base_url=self._server.url,
                headers=self._headers,
                auth=self._auth,
                timeout=_SOONER * self._server.timeout_s,
                follow_redirects=False,
                trust_env=False,
                transport=self._connections or transport(self._server.resolve, self._server.tls, limits),
            )
        body = bytearray()
        async with self._client.stream(method, path, **options) as response:
            if response.status_code in self._answers and not is_measured(response.headers):
                raise self._server.unmeasured()
            async for part in response.aiter_raw():
                body += part
                if len(body) > MAX_ANSWER_BYTES:
                    raise self._server.too_large()
        return response.status_code, bytes(body)


def _cause(error: Exception) -> str:
    match error:
        case httpx.ConnectError():
            return "no connection"
        case httpx.ReadError() | httpx.WriteError() | httpx.RemoteProtocolError() | ConnectionError():
            return "the connection was cut"
        case _:
            return type(error).__name__


@asynccontextmanager
async def asking(server: Server) -> AsyncIterator[None]:
    """What takes longer than the source may, or leads where it may not, is its outage."""
    try:
        async with asyncio.timeout(server.timeout_s):
            yield
    except TargetError as error:
        raise SourceOutageError(f"{server.system} at {server.where} is not asked: {error}") from error
    except TimeoutError as error:
        raise SourceOutageError(
            f"{server.system} at {server.where} did not answer within {server.timeout_s:g} s"
        ) from error


async def together(questions: Sequence[Coroutine[Any, Any, Result]]) -> list[Result]:
    """All answers, or the first error, once each has come to its end: a question that is cancelled in its handshake
    leaves its socket open, and none takes longer than the source may.
    """
    found = await asyncio.gather(*questions, return_exceptions=True)
    for answer in found:
        if isinstance(answer, BaseException):
            raise answer
    return [answer for answer in found if not isinstance(answer, BaseException)]
