"""Who sent a request, for routers: `caller: Caller`."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from workloads.invitations.parts import parts_of
from workloads.invitations.tokens import TokenError, User

# Only for the OpenAPI document: it would answer 403 where 401 is due.
_scheme = HTTPBearer(auto_error=False, bearerFormat="JWT", description="`sub` is the user, `name` whom a friend reads.")


async def _caller(request: Request, _: Annotated[object, Depends(_scheme)]) -> User:
    """Raises TokenError, NotAllowedError, KeysGoneError."""
    kind, _space, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        raise TokenError("send a token: Authorization: Bearer …")
    return await parts_of(request).tokens.user(token.strip())


Caller = Annotated[User, Depends(_caller)]
