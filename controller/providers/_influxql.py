"""Asks InfluxDB in InfluxQL, the language of 1.x that 2.x still speaks at `/query`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import httpx

from controller.outward.transport import transport
from controller.ports import BrokenMetricError
from controller.providers._rows import MAX_ROWS
from controller.providers._server import MAX_ANSWER_BYTES, Server, is_measured

_HTTP_OK = 200
_CONNECTIONS = 16


class InfluxQLClient:
    """Opens nothing before the first question."""

    def __init__(self, server: Server, *, bucket: str) -> None:
        self._server = server
        self._bucket = bucket
        self._client: httpx.AsyncClient | None = None

    async def records(self, text: str) -> list[Mapping[str, object]]:
        """At most one more than MAX_ROWS. Raises SourceOutageError, BrokenMetricError, TimeoutError."""
        try:
            status, body = await self._post(text)
        except httpx.TimeoutException as error:
            raise TimeoutError from error
        except (httpx.TransportError, OSError) as error:
            raise self._server.unreachable(_cause(error)) from error
        if status != _HTTP_OK:
            raise self._server.refusal(status, body)
        return self._parsed(body)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _post(self, text: str) -> tuple[int, bytes]:
        if self._client is None:
            limits = httpx.Limits(max_connections=_CONNECTIONS)
            self._client = httpx.AsyncClient(
                base_url=self._server.url,
                headers={"Authorization": f"Token {self._server.token}", "Accept-Encoding": "identity"},
                timeout=self._server.timeout_s,
                follow_redirects=False,
                trust_env=False,
                transport=transport(self._server.resolve, self._server.tls, limits),
            )
        body = bytearray()
        async with self._client.stream("POST", "/query", params={"db": self._bucket}, data={"q": text}) as response:
            if response.status_code == _HTTP_OK and not is_measured(response.headers):
                raise self._server.unmeasured()
            async for part in response.aiter_raw():
                body += part
                if len(body) > MAX_ANSWER_BYTES:
                    raise self._server.too_large()
        return response.status_code, bytes(body)

    def _parsed(self, body: bytes) -> list[Mapping[str, object]]:
        try:
            results = json.loads(body)["results"]
            if len(results) != 1:
                raise BrokenMetricError(f"the query has {len(results)} statements; it must be one SELECT")
            message = results[0].get("error")
            if message is None:
                if _is_partial(results[0]):
                    raise BrokenMetricError("the query returned a part of its rows only; sum up in the query")
                return list(islice(_records(results[0].get("series", [])), MAX_ROWS + 1))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise self._server.nonsense("JSON") from error
        raise self._server.failed_query(str(message))


def _is_partial(result: Mapping[str, Any]) -> bool:
    """InfluxDB stops at `max-row-limit`, and says so beside the rows."""
    return any(each.get("partial", False) for each in (result, *result.get("series", [])))


def _records(series: list[dict[str, Any]]) -> Iterator[Mapping[str, object]]:
    for one in series:
        tags = one.get("tags") or {}
        for values in one["values"]:
            columns = dict(zip(one["columns"], values, strict=True))
            columns.pop("time", None)
            yield {**tags, **columns}


def _cause(error: Exception) -> str:
    match error:
        case httpx.ConnectError():
            return "no connection"
        case httpx.ReadError() | httpx.WriteError() | httpx.RemoteProtocolError() | ConnectionError():
            return "the connection was cut"
        case _:
            return type(error).__name__
