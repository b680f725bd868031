"""A connection of uvicorn that gives up on headers which do not come, or do not end.

uvicorn's own time-out is for connections that wait for their next request. One that has sent half a request, or
nothing at all, it keeps for ever, and as many headers as are sent.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MOST_BYTES = 131_072
"""Of a head; counted by reads, whose last may bring half of that of the body."""


class Punctual(HttpToolsProtocol):
    read_s = 5.0
    """From a request's first byte, or from the connection, to the end of its headers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._head = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._deadline is not None:
            self._head += len(data)
            if self._head > _MOST_BYTES:
                self._give_up()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect_head()

    def on_headers_complete(self) -> None:
        self._expect_nothing()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        if self._deadline is None:
            self._head = 0
            self._deadline = self.loop.call_later(self.read_s, self._give_up)

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._expect_nothing()
        self.transport.close()


def punctual(read_s: float) -> type[Punctual]:
    """uvicorn makes the connections, so what they are to know is theirs as a class."""
    return type("Punctual", (Punctual,), {"read_s": read_s})
