"""Listening for HTTP where anybody in the cluster can connect: time-outs, and a bounded number of connections.

aiohttp closes what is idle and what does not finish its headers, by one timer. What it has no limit for is here: how
many connections there are, callers that do not read their answers, and lines of log for what is not HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import cast

from aiohttp import web

IDLE_S = 10.0
"""Without a whole request. Queue workers ask every two seconds, kubelet over a new connection each time."""
_UNREAD_S = 10.0
"""For a caller to take so much of its answers that the next can be sent."""
_LINGER_S = 2.0
"""For the rest of a body that nobody reads."""
_LAST_REQUESTS_S = 1.0
_BACKLOG = 512

_LOG = logging.getLogger(__name__)
_SILENT = logging.getLogger(f"{__name__}.aiohttp")
"""aiohttp logs a traceback for each request that is not HTTP; what handlers raise is logged here."""
_SILENT.disabled = True


@contextlib.asynccontextmanager
async def listening(routes: Iterable[web.RouteDef], address: str, port: int, *, most: int) -> AsyncIterator[int]:
    """Answers while the block runs, `most` connections at once. Yields the port; 0 takes a free one."""
    app = web.Application(middlewares=[_log_defects])
    app.add_routes(routes)
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=_SILENT,
        keepalive_timeout=IDLE_S,
        lingering_time=_LINGER_S,
        shutdown_timeout=_LAST_REQUESTS_S,
    )
    await runner.setup()
    try:
        http = cast("web.Server", runner.server)  # since it is set up
        connections = Connections(_within_open_files(most))
        server = await asyncio.get_running_loop().create_server(
            lambda: _Connection(http(), connections), address, port, backlog=_BACKLOG
        )
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
    finally:
        await runner.cleanup()


class Connections:
    """At most so many. Whoever comes gets in, and the peer that then has most loses its oldest.

    So no number of connections from one peer keeps another out. There is no limit for each: where a node speaks for its
    pods, they are one peer.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0
        self._peers: dict[str, dict[_Connection, None]] = {}
        """Each one's connections, oldest first; each has some."""

    def __len__(self) -> int:
        return self._count

    def add(self, connection: _Connection, peer: str) -> None:
        self._peers.setdefault(peer, {})[connection] = None
        self._count += 1
        if self._count > self._most:
            busiest = max(self._peers, key=lambda peer: len(self._peers[peer]))
            oldest = next(iter(self._peers[busiest]))
            self.remove(oldest, busiest)
            oldest.abort()

    def remove(self, connection: _Connection, peer: str) -> None:
        """Again is nothing."""
        of_peer = self._peers.get(peer, {})
        if connection in of_peer:
            del of_peer[connection]
            self._count -= 1
            if not of_peer:
                del self._peers[peer]


class _Connection(asyncio.Protocol):
    """Hands everything on to aiohttp's, and ends it where it has to."""

    def __init__(self, http: asyncio.Protocol, connections: Connections) -> None:
        self._http = http
        self._connections = connections
        self._peer = ""
        self._transport: asyncio.BaseTransport | None = None
        self._unread: asyncio.TimerHandle | None = None

    def abort(self) -> None:
        if isinstance(self._transport, asyncio.WriteTransport):
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        address = transport.get_extra_info("peername")
        self._peer = address[0] if address else ""
        self._http.connection_made(transport)
        self._connections.add(self, self._peer)

    def connection_lost(self, exc: Exception | None) -> None:
        self._no_longer_unread()
        self._connections.remove(self, self._peer)
        self._http.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._http.data_received(data)

    def eof_received(self) -> bool | None:
        return self._http.eof_received()

    def pause_writing(self) -> None:
        self._unread = asyncio.get_running_loop().call_later(_UNREAD_S, self.abort)
        self._http.pause_writing()

    def resume_writing(self) -> None:
        self._no_longer_unread()
        self._http.resume_writing()

    def _no_longer_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None


def _within_open_files(most: int) -> int:
    """Half of what this process may open: the rest is for the API server, sources and receivers."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if files == resource.RLIM_INFINITY else min(most, files // 2)


@web.middleware
async def _log_defects(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException:
        raise
    except Exception:  # noqa: BLE001 - as aiohttp does, which would also log what callers do wrong
        _LOG.exception("a defect: %s %r could not be answered", request.method, request.path)
        return web.Response(status=500, text="the operator could not answer; its log says why\n")
