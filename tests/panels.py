"""Every panel of every dashboard, asked of a real InfluxDB: which have had rows since some moment."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Collection, Iterator
from typing import Any, Protocol

import httpx

from controller.api.secret import SecretRef
from controller.providers import influxdb
from controller.views.board import BOARDS, Range, filled, load

_TIMEOUT_S = 20.0
_AFTER_S = 0.001
"""A range ends before its end."""


class Influx(Protocol):
    """Where the decisions are, and the operator's own metrics."""

    @property
    def url(self) -> str: ...
    @property
    def token(self) -> str: ...
    @property
    def org(self) -> str: ...
    @property
    def bucket(self) -> str: ...


class Panels:
    """Those of one Release, and those of the fleet in its namespace. Nobody has to watch: each is asked afterwards as
    it was at the beginning of each phase that the Release went through.
    """

    def __init__(self, database: influxdb.InfluxDB, bucket: str, *, namespace: str, release: str) -> None:
        self._database = database
        self._bucket = bucket
        self._values = {"namespace": [namespace], "release": [release]}
        self._began = time.time()
        self.missing = {
            (name, title): query
            for name in BOARDS
            for board in [load(name)]
            for title, query in (
                *((panel.title, query) for panel in board.panels for query in panel.queries),
                *((f"variable {variable.name}", variable.query) for variable in board.variables),
                *((f"mark {number}", query) for number, query in enumerate(board.marks)),
            )
        }
        """By board and title: the query of each that had no rows so far."""
        self._names = frozenset(self.missing)
        self.rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self._phase = self.missing["release", "Phase"]

    async def until_rows(self, *, but: Collection[tuple[str, str]] = (), seconds: float) -> None:
        """Until all have had rows, `but` these, which need not."""
        assert set(but) <= self._names, "there is no such panel any longer"
        deadline = time.monotonic() + seconds
        while True:
            await self._look_back()
            if self.missing.keys() <= set(but):
                return
            assert time.monotonic() < deadline, f"no rows: {sorted(self.missing.keys() - set(but))}"
            await asyncio.sleep(1)

    async def _look_back(self) -> None:
        """From now to the beginning."""
        for moment in (time.time(), *reversed(await self._phases())):
            for name, query in list(self.missing.items()):
                if rows := await self._ask(query, moment):
                    self.rows[name] = rows
                    del self.missing[name]

    async def _phases(self) -> list[float]:
        """When each began, in seconds since the epoch."""
        rows = sorted(await self._ask(self._phase, time.time()), key=lambda row: row["_time"])
        before = [None, *(row["_value"] for row in rows)]
        changed = (row for row, last in zip(rows, before, strict=False) if row["_value"] != last)
        return [row["_time"].timestamp() + _AFTER_S for row in changed]

    async def _ask(self, query: str, until: float) -> list[dict[str, Any]]:
        rows = await self._database.rows(filled(query, self._values, Range(self._began - 1, until), self._bucket))
        return [dict(row) for row in rows]


@contextlib.asynccontextmanager
async def panels_of(influx: Influx, *, namespace: str, release: str) -> AsyncIterator[Panels]:
    """From now on."""
    async with asking(influx) as database:
        yield Panels(database, influx.bucket, namespace=namespace, release=release)


@contextlib.asynccontextmanager
async def asking(influx: Influx) -> AsyncIterator[influxdb.InfluxDB]:
    """By its token."""
    config = influxdb.Config(influx.url, influx.org, influx.bucket, SecretRef("unread", "token"), _TIMEOUT_S)
    database = influxdb.InfluxDB(config, influx.token)
    try:
        yield database
    finally:
        await database.close()


@contextlib.contextmanager
def scraped(influx: Influx, url: str) -> Iterator[None]:
    """By InfluxDB itself, each 10 s, into the same bucket, as Telegraf would write it with `metric_version = 1`."""
    headers = {"Authorization": f"Token {influx.token}"}
    with httpx.Client(base_url=influx.url, headers=headers, timeout=60, trust_env=False) as client:
        found = client.get("/api/v2/buckets", params={"name": influx.bucket}).raise_for_status()
        (bucket,) = found.json()["buckets"]
        target = {"name": "operator", "type": "prometheus", "url": url}
        target |= {"orgID": bucket["orgID"], "bucketID": bucket["id"]}
        scraper = client.post("/api/v2/scrapers", json=target).raise_for_status().json()
        try:
            yield
        finally:
            client.delete(f"/api/v2/scrapers/{scraper['id']}").raise_for_status()
