"""A server on loopback that leaves no connection behind: one that it was about to serve is closed too."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

Converse = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
_TURNS = 10
"""Of the event loop. From a connection that waits to be accepted to the first line of its talk, 3.11 takes 5."""


@contextlib.asynccontextmanager
async def serving(converse: Converse, port: int = 0) -> AsyncIterator[int]:
    """Its port. `converse` is cancelled at the end. It need not close its connection, nor mind a client
    that is gone.
    """
    talks: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.create_task(_talk(converse, reader, writer))
        talks.add(talk)
        talk.add_done_callback(talks.discard)

    server = await asyncio.start_server(begin, "127.0.0.1", port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        # a server that is closed meanwhile breaks off accepting; a task that is cancelled before it begins does nothing
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        server.close()
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


async def _talk(converse: Converse, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        try:
            await converse(reader, writer)
            writer.close()
            await writer.wait_closed()
        finally:
            writer.transport.abort()  # what is unsent would keep it open
            await writer.wait_closed()
