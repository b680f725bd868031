"""A gate on loopback that answers what a test wants, byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tests.serving import serving

LOOPBACK_NETWORK = ipaddress.ip_network("127.0.0.0/8")
"""Where it is; the operator calls nobody there unless it is listed."""
HANG = b"hang"
DRIP = b"drip"
"""Replies that are none: nothing, or a byte now and then."""


def answer(body: object = b"", status: int = 200, **headers: str) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


YES = answer({"result": "yes", "message": "all tests are green"})
NO = answer({"result": "no", "message": "3 tests failed"})
WAIT = answer({"result": "wait", "message": "tests run"})


@dataclass
class Request:
    line: str
    headers: dict[str, str]
    body: dict[str, object]
    content: bytes
    """The body as it came."""


@dataclass
class Gate:
    replies: list[bytes]
    """In their order; the last one stays."""
    port: int = 0
    requests: list[Request] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/check"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.requests.append(Request(head[0], headers, json.loads(body), body))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if reply == HANG:
            await reader.read()  # until the caller gives up
        elif reply == DRIP:
            writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 9999\r\n\r\n")
            while not reader.at_eof():
                writer.write(b" ")
                await asyncio.sleep(0.02)
        else:
            writer.write(reply)
            await writer.drain()


@contextlib.asynccontextmanager
async def gate(*replies: bytes, port: int = 0) -> AsyncIterator[Gate]:
    """`port`: where it was before; 0: a free one."""
    it = Gate(list(replies) or [YES])
    async with serving(it.answer, port) as it.port:
        yield it
