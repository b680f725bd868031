"""What a request may cost before anybody knows who sent it: a body of some kilobytes, and seconds to arrive.

A body is taken in whole before the application is called, or refused without being kept. What comes before it,
uvicorn would wait for without end and without a bound: see punctual.py.
"""

import asyncio

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from workloads.invitations import problems
from workloads.invitations.problems import Code, ProblemError

_DISCARDED = 4 << 20
"""Of a body that is too large, so much is still read: a caller who is cut off while sending sees no answer."""
_CLOSE = {"Connection": "close"}


class Intake:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, *, body_bytes: int, read_s: float) -> None:
        self._app = app
        self._body_bytes = body_bytes
        self._read_s = read_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(headers := Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._read_s):
                body = await self._taken(headers, receive)
        except TimeoutError:
            refusal = ProblemError(Code.REQUEST_TIMEOUT, f"the body must arrive within {self._read_s:g} s", _CLOSE)
        except ProblemError as problem:
            refusal = problem
        else:
            if body is not None:
                await self._app(scope, _again(body, receive), send)
            return
        await problems.answer(refusal, scope)(scope, receive, send)

    async def _taken(self, headers: Headers, receive: Receive) -> bytes | None:
        """None: whoever sent it is gone. Raises ProblemError, late enough that its answer is read."""
        length = int(headers.get("content-length", "0"))  # a server that cannot read it has refused the request
        if length > _DISCARDED or (length > self._body_bytes and "expect" in headers):
            raise self._too_large()
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return None
            size += len(message.get("body", b""))
            if size <= self._body_bytes:
                parts.append(message.get("body", b""))
            if size > _DISCARDED or not message.get("more_body", False):
                break
        if size > self._body_bytes:
            raise self._too_large()
        return b"".join(parts)

    def _too_large(self) -> ProblemError:
        return ProblemError(Code.BODY_TOO_LARGE, f"the body must be at most {self._body_bytes} bytes", _CLOSE)


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def json_only(request: Request) -> None:
    """For routes that take JSON, or nothing: a form of another site cannot send it unasked. Raises ProblemError."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if _has_body(request.headers) and given != "application/json" and not given.endswith("+json"):
        raise ProblemError(Code.UNSUPPORTED_MEDIA_TYPE, "send JSON, with Content-Type: application/json")


def _again(body: bytes, receive: Receive) -> Receive:
    """What was taken in, as one message; after it whatever comes."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return left.pop() if left else await receive()

    return next_message
