"""The part of Grafana's HTTP API that annotations need, by its published schema and strictly: what a real Grafana would
not know is refused, so that a field with a wrong name fails here and not there.

https://grafana.com/docs/grafana/latest/developers/http_api/annotations/
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from hack.node.process import free_port

TOKEN = "glsa_of_a_test"  # noqa: S105 - nobody else's
_FIELDS: dict[str, type] = {
    "dashboardUID": str,
    "panelId": int,
    "time": int,
    "timeEnd": int,
    "tags": list,
    "text": str,
}
_MILLISECONDS = range(10**12, 10**13)
"""Moments of this century; seconds or nanoseconds are in none of it."""


@dataclass
class Grafana:
    kept: list[dict[str, Any]] = field(default_factory=list)
    answers: int = 200
    """What is answered to a request that is as it should be."""
    url: str = ""

    async def _post(self, request: web.Request) -> web.Response:
        if (refused := _unauthorized(request)) is not None:
            return refused
        body = await request.json()
        problem = _problem(body)
        if problem:
            return web.json_response({"message": problem}, status=400)
        if self.answers != web.HTTPOk.status_code:
            return web.json_response({"message": "unavailable"}, status=self.answers)
        self.kept.append({"id": len(self.kept) + 1, **body})
        return web.json_response({"message": "Annotation added", "id": len(self.kept)})

    async def _get(self, request: web.Request) -> web.Response:
        if (refused := _unauthorized(request)) is not None:
            return refused
        wanted = set(request.query.getall("tags", []))
        return web.json_response([one for one in self.kept if wanted <= set(one["tags"])])

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Grafana]:
        app = web.Application()
        app.add_routes([web.post("/api/annotations", self._post), web.get("/api/annotations", self._get)])
        runner = web.AppRunner(app)
        await runner.setup()
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{port}"
        try:
            yield self
        finally:
            await runner.cleanup()


def _unauthorized(request: web.Request) -> web.Response | None:
    if request.headers.get("Authorization") == f"Bearer {TOKEN}":
        return None
    return web.json_response({"message": "Invalid API key"}, status=401)


def _problem(body: Any) -> str:
    if not isinstance(body, dict):
        return "bad request data"
    unknown = body.keys() - _FIELDS.keys()
    if unknown:
        return f"unknown fields {sorted(unknown)}"
    wrong = [name for name, value in body.items() if type(value) is not _FIELDS[name]]
    if wrong or not all(isinstance(tag, str) and tag for tag in body.get("tags", [])):
        return f"wrong types {wrong or 'tags'}"
    if not body.get("text"):
        return "Failed to save annotation: text field should not be empty"
    if body.get("time") not in _MILLISECONDS:
        return "time is not in milliseconds since the epoch"
    return ""
