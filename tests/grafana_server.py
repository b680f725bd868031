"""A server with the part of Grafana's HTTP API that Pointsman calls, strict about what is published of it.

Its data sources are real: an InfluxDB, which is asked in Flux or in InfluxQL, and a Prometheus; answers become data
frames as Grafana's own data sources make them. Requests and answers are held against the published schema.
"""

from __future__ import annotations

import io
import json
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import jsonschema_rs
from aiohttp import web
from influxdb_client.client.flux_csv_parser import FluxCsvParser, FluxSerializationMode

from hack.node.cluster import Influx
from hack.node.influx import InfluxDB
from hack.node.prometheus import PASSWORD, USER, Prometheus
from tests import grafana_schema
from tests.grafana_alerts import AlertList
from tests.grafana_frames import Result, error, flux_frame, frame, influxql_frames, prometheus_frames

TOKEN = "glsa_of-the-tests"  # noqa: S105 - of a server of the tests
ORGANIZATION = 1
FLUX_UID, INFLUXQL_UID, PROMETHEUS_UID = "P-flux", "P-influxql", "P-prometheus"
MAX_SERIES = 1_000
_POINTS_PER_PIXEL = 10
_REQUEST = jsonschema_rs.validator_for(grafana_schema.REQUEST)
_ANSWER = jsonschema_rs.validator_for(grafana_schema.ANSWER)
_FLUX_MACRO = re.compile(r"[a-zA-Z]+\.(timeRangeStart|timeRangeStop|windowPeriod|bucket|defaultBucket|organization)")
Ask = Callable[[Mapping[str, Any]], Awaitable[Result]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class GrafanaServer:
    influx: InfluxDB | Influx | None = None
    prometheus: Prometheus | None = None
    alerts: AlertList = field(default_factory=AlertList)
    instead: Handler | None = None
    """What answers in the place of everything below."""
    changed: Callable[[Result], Result] = lambda result: result
    """Of a query, before it is sent."""
    token: str = TOKEN
    requests: list[Mapping[str, Any]] = field(default_factory=list)
    address: str = "127.0.0.1"
    url: str = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[GrafanaServer]:
        app = web.Application()
        app.add_routes([web.post("/api/ds/query", self._query), web.get(AlertList.PATH, self._alerts)])
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self.address, 0)
            await site.start()
            self.url = f"http://{self.address}:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()

    async def _alerts(self, request: web.Request) -> web.StreamResponse:
        return self._unauthorized(request) or self.alerts.answer(request)

    async def _query(self, request: web.Request) -> web.StreamResponse:
        if self.instead is not None:
            return await self.instead(request)
        refused = self._unauthorized(request)
        if refused is not None:
            return refused
        if request.content_type != "application/json":
            return web.json_response({"message": "bad request data"}, status=400)
        body = await request.json()
        try:
            _REQUEST.validate(body)
        except jsonschema_rs.ValidationError as invalid:
            return web.json_response({"message": f"bad request data: {invalid.message}"}, status=400)
        self.requests.append(body)
        results: dict[str, Result] = {}
        for query in body["queries"]:
            source = self._sources(int(body["to"])).get(query["datasource"]["uid"])
            if source is None:
                return web.json_response({"message": "Data source not found"}, status=404)
            where, ask = source
            try:
                result = await ask(query)
            except httpx.TransportError:
                result = error(f'Post "{where}": dial tcp: connect: connection refused', 500)
            results[query["refId"]] = self.changed(result)
        answer = {"results": results}
        if self.changed is GrafanaServer.changed:
            _ANSWER.validate(answer)
        failed = any("error" in result for result in results.values())
        return web.Response(text=json.dumps(answer), status=400 if failed else 200, content_type="application/json")

    def _sources(self, to: int) -> Mapping[str, tuple[str, Ask]]:
        """By uid, with their addresses. `to`: the end of the range, in milliseconds."""
        found: dict[str, tuple[str, Ask]] = {}
        if self.influx is not None:
            database = _Influx(self.influx)
            found |= {FLUX_UID: (self.influx.url, database.flux), INFLUXQL_UID: (self.influx.url, database.influxql)}
        if self.prometheus is not None:
            found[PROMETHEUS_UID] = (self.prometheus.url, _Prometheus(self.prometheus, to).instant)
        return found

    def _unauthorized(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response({"message": "Invalid API key", "messageId": "api-key.invalid"}, status=401)
        if request.headers.get("X-Grafana-Org-Id", str(ORGANIZATION)) != str(ORGANIZATION):
            return web.json_response({"message": "You'll need additional permissions"}, status=403)
        return None


@dataclass(frozen=True)
class _Influx:
    influx: InfluxDB | Influx

    async def flux(self, query: Mapping[str, Any]) -> Result:
        text = _FLUX_MACRO.sub(lambda macro: f'"{macro[1]} of Grafana"', query["query"])
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(
                f"{self.influx.url}/api/v2/query",
                params={"org": self.influx.org},
                headers={"Authorization": f"Token {self.influx.token}", "Accept": "application/csv"},
                json={"query": text, "dialect": {"annotations": ["datatype", "group", "default"]}},
            )
        if answer.status_code != httpx.codes.OK:
            return error(f"{answer.json()['code']}: {answer.json()['message']}", answer.status_code)
        parser: Any = FluxCsvParser(io.BytesIO(answer.content), FluxSerializationMode.tables)
        list(parser.generator())
        frames: list[Result] = []
        for table in parser.tables:
            if len(frames) == MAX_SERIES:
                return {**error(f"results are truncated, max series reached ({MAX_SERIES})", 500), "frames": frames}
            frames.append(flux_frame(table))
            if len(table.records) > query["maxDataPoints"] * _POINTS_PER_PIXEL:
                return {**error("A query returned too many datapoints and the results have been truncated", 500)}
        frames = frames or [frame([], [])]
        frames[0]["schema"]["meta"] = {"typeVersion": [0, 0], "executedQueryString": text}
        return {"status": 200, "frames": frames}

    async def influxql(self, query: Mapping[str, Any]) -> Result:
        if not query.get("rawQuery") or query.get("resultFormat") != "table":
            return error("the tests' server knows raw queries for tables", 400)
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(
                f"{self.influx.url}/query",
                params={"db": self.influx.bucket, "epoch": "ms", "q": query["query"]},
                headers={"Authorization": f"Token {self.influx.token}"},
            )
        body = answer.json()
        if answer.status_code != httpx.codes.OK:
            said = body.get("error") or body.get("message")
            return error(f"InfluxDB returned error: {said}", answer.status_code)
        result = body["results"][0]
        if "error" in result:
            return error(result["error"], 500)
        return {"status": 200, "frames": influxql_frames(result.get("series", []), query["query"])}


@dataclass(frozen=True)
class _Prometheus:
    prometheus: Prometheus
    to: int

    async def instant(self, query: Mapping[str, Any]) -> Result:
        """At the end of the range, aligned as some versions of Grafana do it."""
        if not query.get("instant") or query.get("range"):
            return error("the tests' server knows instant queries", 400)
        tls = ssl.create_default_context(cadata=self.prometheus.certificates)
        async with httpx.AsyncClient(trust_env=False, verify=tls, auth=(USER, PASSWORD)) as client:
            answer = await client.post(
                f"{self.prometheus.url}/api/v1/query", data={"query": query["expr"], "time": self.to // 15_000 * 15}
            )
        body = answer.json()
        if body["status"] != "success":
            return error(f"{body['errorType']}: {body['error']}", answer.status_code)
        return {
            "status": 200,
            "frames": prometheus_frames(body["data"]["resultType"], body["data"]["result"], query["expr"]),
        }
