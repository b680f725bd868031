"""A door before InfluxDB through which only lies come, when it is told so."""

import csv
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

TRUE, DOWN, EMPTY, NAN, WRONG_TAG = "true", "down", "empty", "nan", "wrong tag"
LIES = (DOWN, EMPTY, NAN, WRONG_TAG)
_NUMBERS = ("bad", "total")


class Door:
    """`tells` may be changed at any time."""

    def __init__(self, upstream: str, *, address: str) -> None:
        """`address`: of this machine, where pods can reach it."""
        self._address = address
        self.tells = TRUE
        self.url = ""
        self._upstream = upstream
        self._session: aiohttp.ClientSession | None = None

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self.tells == DOWN:
            assert request.transport is not None
            request.transport.abort()
            raise web.HTTPBadGateway
        assert self._session is not None
        kept = ("Authorization", "Content-Type", "Accept")
        async with self._session.post(
            f"{self._upstream}{request.path_qs}",
            data=await request.read(),
            headers={name: request.headers[name] for name in kept if name in request.headers},
        ) as answer:
            body = tampered(await answer.text(), self.tells) if answer.ok else await answer.text()
            return web.Response(status=answer.status, text=body, content_type="text/csv")

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Door"]:
        application = web.Application()
        application.router.add_post("/{path:.*}", self._answer)
        runner = web.AppRunner(application, access_log=None)
        async with aiohttp.ClientSession() as self._session:
            await runner.setup()
            site = web.TCPSite(runner, self._address, 0)
            await site.start()
            self.url = f"http://{self._address}:{runner.addresses[0][1]}"
            try:
                yield self
            finally:
                await runner.cleanup()


def tampered(text: str, tells: str) -> str:
    """Annotated CSV as InfluxDB has sent it, with its rows gone, its numbers NaN or its revisions unknown."""
    if tells == TRUE or not text.strip():
        return text
    if tells == EMPTY:
        return "\r\n"
    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    header = next(row for row in rows if not row[0].startswith("#"))
    for row in rows:
        for column, name in enumerate(header):
            kind = row[0] if row[0].startswith("#") else "header" if row == header else "row"
            if tells == NAN and name in _NUMBERS and kind in ("#datatype", "row"):
                row[column] = "double" if kind == "#datatype" else "NaN"
            if tells == WRONG_TAG and name == "revision" and kind == "row":
                row[column] = f"not-{row[column]}"
    made = io.StringIO()
    csv.writer(made).writerows(rows)
    return made.getvalue()
