"""Asks InfluxDB in InfluxQL, the language of 1.x that 2.x still speaks at `/query`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from controller.ports import BrokenMetricError
from controller.providers._http import BoundedClient
from controller.providers._rows import MAX_ROWS
from controller.providers._server import Server


class InfluxQLClient:
    """Opens nothing before the first question."""

    def __init__(
        self,
        server: Server,
        *,
        database: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
    ) -> None:
        """`database`: where queries read that say nothing else, as parameters of the request."""
        self._server = server
        self._database = database
        self._client = BoundedClient(server, headers=headers, auth=auth)

    async def records(self, text: str) -> list[Mapping[str, object]]:
        """At most one more than MAX_ROWS. Raises SourceOutageError, BrokenMetricError, TimeoutError."""
        return self._parsed(await self._client.post("/query", params=self._database, data={"q": text}))

    async def close(self) -> None:
        await self._client.close()

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
