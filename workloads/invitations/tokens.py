"""Who calls: JSON Web Tokens that somebody else signs.

The algorithm comes from the settings and never from the token: else `alg: none`, or a public RSA key taken for an
HMAC secret, would pass. A token that was found good is remembered for a minute, as its owner comes again.
"""

import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import jwt

LEEWAY_S = 10
"""What the issuer's clock may differ by."""
_REMEMBERED_S = 60.0
_MOST_REMEMBERED = 10_000
_LONGEST_TOKEN = 8192
_LONGEST_ID = 128


class Algorithm(StrEnum):
    HS256 = "HS256"
    RS256 = "RS256"


@dataclass(frozen=True, slots=True)
class Trust:
    """Of the secret, the public key (PEM) and the address of a key set, one is given."""

    algorithm: Algorithm
    secret: str = field(default="", repr=False)
    public_key: str = ""
    jwks_url: str = ""
    issuer: str = ""
    audience: str = ""
    name_claim: str = "name"
    new_user_claim: str = ""
    """What must be true in the token of who accepts an invitation, if not empty."""
    scope: str = ""
    """What a token must allow, if not empty; a word of its claim `scope`."""


@dataclass(frozen=True, slots=True)
class User:
    id: str
    name: str
    """As the token says; not cleaned."""
    is_new: bool = True
    """False where the application says that the account is older than its invitation."""


class TokenError(Exception):
    """The token does not say who calls. What it says to the caller names no secret."""


class NotAllowedError(Exception):
    """The caller is known, and may not do this."""


FindKey = Callable[[str], Awaitable[Any]]
"""The key with this id (`kid`, "" for none). Raises TokenError, KeysGoneError (jwks.py)."""


class Tokens:
    """Of one process. `clock` is wall time in seconds."""

    def __init__(self, trust: Trust, find_key: FindKey, *, clock: Callable[[], float] = time.time) -> None:
        self._trust = trust
        self._find_key = find_key
        self._clock = clock
        self._known: dict[bytes, tuple[float, User]] = {}

    async def user(self, token: str) -> User:
        """Raises TokenError, NotAllowedError, and what the search for a key raises."""
        digest = hashlib.sha256(token.encode()).digest()  # tokens are secrets, and long: neither is kept
        known = self._known.get(digest)
        if known is not None and self._clock() < known[0]:
            return known[1]
        if len(token) > _LONGEST_TOKEN:
            raise TokenError("the token is too long")
        claims = await self._claims(token)
        expires = _expiry(claims)
        if self._clock() >= expires + LEEWAY_S:
            raise TokenError("the token has expired: sign in again")
        claim = self._trust.new_user_claim
        user = User(_subject(claims), self._name(claims), is_new=not claim or claims.get(claim) is True)
        if self._trust.scope and self._trust.scope not in str(claims.get("scope", "")).split():
            raise NotAllowedError(f"the token does not allow {self._trust.scope}: sign in again, and grant it")
        self._remember(digest, user, expires)
        return user

    async def _claims(self, token: str) -> Mapping[str, Any]:
        trust = self._trust
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") != trust.algorithm:
                raise TokenError(f"the token is not signed with {trust.algorithm}")
            claims: Mapping[str, Any] = jwt.decode(
                token,
                await self._find_key(str(header.get("kid", ""))),
                algorithms=[trust.algorithm],
                issuer=trust.issuer or None,
                audience=trust.audience or None,
                leeway=LEEWAY_S,
                options={"require": ["exp", "sub"], "verify_exp": False, "verify_aud": bool(trust.audience)},
            )
        except jwt.InvalidTokenError as problem:
            raise TokenError(f"the token is not valid: {problem}") from None
        return claims

    def _name(self, claims: Mapping[str, Any]) -> str:
        name = claims.get(self._trust.name_claim, "")
        return name if isinstance(name, str) else ""

    def _remember(self, digest: bytes, user: User, expires: float) -> None:
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known[digest] = (min(expires, self._clock() + _REMEMBERED_S), user)


def _expiry(claims: Mapping[str, Any]) -> float:
    expires = claims["exp"]
    if isinstance(expires, bool) or not isinstance(expires, int | float):
        raise TokenError("the token's exp is no time in seconds")
    return float(expires)


def _subject(claims: Mapping[str, Any]) -> str:
    subject = claims["sub"]
    if not (isinstance(subject, str) and 0 < len(subject) <= _LONGEST_ID and subject.isprintable()):
        raise TokenError(f"the token's sub is not an id of 1 to {_LONGEST_ID} printable characters")
    return subject
