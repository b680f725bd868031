"""Asks InfluxDB in Flux, through InfluxDB's own client.

Of that client this uses the request and the CSV parser, with the body read here in between: its own streaming
reads error bodies and single cells of any size.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from itertools import islice
from typing import Any

import aiohttp
import influxdb_client
from influxdb_client.client.flux_csv_parser import (
    FluxCsvParser,
    FluxCsvParserException,
    FluxQueryException,
    FluxSerializationMode,
)
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync

from controller.kube.connector import Connector
from controller.outward.transport import CheckedResolver
from controller.ports import BrokenMetricError
from controller.providers._rows import MAX_ROWS
from controller.providers._server import MAX_ANSWER_BYTES, Server, is_measured

_HTTP_OK = 200
_CONNECTIONS = 16

_api: Any = influxdb_client  # its classes carry no types
_DIALECT = _api.Dialect(
    header=True,
    delimiter=",",
    comment_prefix="#",
    annotations=["datatype", "group", "default"],
    date_time_format="RFC3339",
)


class FluxClient:
    """Opens nothing before the first question, as aiohttp wants a running loop."""

    def __init__(self, server: Server, *, org: str) -> None:
        self._server = server
        self._org = org
        self._client: Any = None
        self._resolver = CheckedResolver(server.resolve) if server.resolve else None

    async def records(self, text: str) -> list[Mapping[str, object]]:
        """At most one more than MAX_ROWS. Raises SourceOutageError, BrokenMetricError, TimeoutError."""
        try:
            status, body = await self._post(text)
        except TimeoutError:
            raise
        except (aiohttp.ClientError, OSError) as error:
            raise self._server.unreachable(_cause(error)) from error
        if status != _HTTP_OK:
            raise self._server.refusal(status, body)
        return self._parsed(body)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _post(self, text: str) -> tuple[int, bytes]:
        if self._resolver is not None:
            await self._resolver.check(self._server.url)
        response: aiohttp.ClientResponse = await self._service().post_query_async(
            org=self._org,
            query=_api.Query(query=text, dialect=_DIALECT),
            accept_encoding="identity",
            async_req=False,
            _preload_content=False,
            _return_http_data_only=True,
        )
        body = bytearray()
        try:
            if response.status == _HTTP_OK and not is_measured(response.headers):
                response.close()
                raise self._server.unmeasured()
            async for part in response.content.iter_any():
                body += part
                if len(body) > MAX_ANSWER_BYTES:
                    response.close()
                    raise self._server.too_large()
        finally:
            response.release()
        return response.status, bytes(body)

    def _service(self) -> Any:
        if self._client is None:
            self._client = InfluxDBClientAsync(
                url=self._server.url,
                token=self._server.token,
                org=self._org,
                timeout=self._server.timeout_s * 1000,
                ssl_context=self._server.tls,
                allow_redirects=False,
                client_session_type=self._session,
            )
        return _api.QueryService(self._client.api_client)

    def _session(self, **options: Any) -> aiohttp.ClientSession:
        """With a connector of our own, since that of the library takes no resolver."""
        connector = Connector(limit=_CONNECTIONS, ssl=self._server.tls, resolver=self._resolver)
        return aiohttp.ClientSession(**{**options, "connector": connector, "cookie_jar": aiohttp.DummyCookieJar()})

    def _parsed(self, body: bytes) -> list[Mapping[str, object]]:
        parser: Any = FluxCsvParser(io.BytesIO(body), FluxSerializationMode.stream)
        try:
            return [_columns(record.values) for record in islice(parser.generator(), MAX_ROWS + 1)]
        except FluxQueryException as error:
            raise self._server.failed_query(str(error.message)) from error
        except csv.Error as error:
            raise BrokenMetricError("the query returned a text too long to be a count") from error
        except (FluxCsvParserException, ValueError, LookupError, AttributeError) as error:
            raise self._server.nonsense("CSV") from error


def _columns(values: dict[str, Any]) -> Mapping[str, object]:
    return {name: value for name, value in values.items() if name not in ("result", "table")}


def _cause(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorError():
            return f"no connection ({error.os_error.strerror or type(error.os_error).__name__})"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError() | ConnectionError():
            return "the connection was cut"
        case _:
            return type(error).__name__
