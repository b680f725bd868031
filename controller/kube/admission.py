"""Who may call the operator over HTTP, and how much anybody may send.

Only the leader answers, as what is sent lies in its memory. A caller shows a service account token for the operator.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from controller.kube.callers import Caller
from controller.kube.client import KubeError

_BEARER = "Bearer "
_AGAIN_S = "1"


class RefusedError(Exception):
    """Closes the connection: who is refused holds none, and the next one may reach the leader."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self._status = status
        self._sentence = sentence

    def response(self) -> web.Response:
        response = problem(self._status, self._sentence)
        response.force_close()
        return response


class TooLargeError(Exception):
    """The body has more bytes than are read."""


def problem(status: int, sentence: str) -> web.Response:
    """With 503, when to try again."""
    later = {"Retry-After": _AGAIN_S} if status == web.HTTPServiceUnavailable.status_code else None
    return web.json_response({"error": sentence}, status=status, headers=later)


async def admitted(
    request: web.Request, *, leads: Callable[[], bool], caller_of: Callable[[str, str], Awaitable[Caller]]
) -> Caller:
    """`leads`: whether this process does. `caller_of`: as `callers.Callers.caller`, of token and peer.

    Raises RefusedError.
    """
    if not leads():
        raise RefusedError(503, "this operator is not the leader; try again")
    authorization = request.headers.get("Authorization", "")
    if not authorization.startswith(_BEARER):
        raise RefusedError(401, "a service account token is required: Authorization: Bearer TOKEN, audience pointsman")
    try:
        caller = await caller_of(authorization.removeprefix(_BEARER), request.remote or "")
    except KubeError as error:
        raise RefusedError(503, f"the token cannot be verified right now: {error}") from error
    if not caller.namespace:
        raise RefusedError(401, "the token is expired, or is not a service account token for audience pointsman")
    return caller


async def body_of(request: web.Request, *, most: int) -> bytes:
    """Raises TooLargeError, and what aiohttp raises for a body that is cut off."""
    body = bytearray()
    async for piece in request.content.iter_any():
        body += piece
        if len(body) > most:
            raise TooLargeError(f"the body is larger than {most} bytes")
    return bytes(body)
