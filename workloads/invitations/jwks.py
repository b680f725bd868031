"""Public keys of whoever signs tokens, fetched from their address (RFC 7517) and kept.

A key id that is not known has the set fetched anew, at most once in ten seconds: else a stream of made-up ids would be
a stream of requests to the issuer. While the issuer is away, keys that are known go on being good.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import jwt

from workloads.invitations.tokens import TokenError

_AGAIN_S = 10.0
_OLD_S = 3600.0
_TIMEOUT_S = 3.0


class KeysGoneError(Exception):
    """The issuer's keys cannot be fetched, and none are known."""


class Jwks:
    def __init__(self, url: str, client: httpx.AsyncClient, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._client = client
        self._clock = clock
        self._keys: dict[str, Any] = {}
        self._asked = float("-inf")
        self._one = asyncio.Lock()

    async def key(self, key_id: str) -> Any:
        """Raises TokenError for an id that the issuer does not know, KeysGoneError."""
        if key_id not in self._keys or self._clock() - self._asked > _OLD_S:
            async with self._one:
                await self._fetch(key_id)
        if key_id in self._keys:
            return self._keys[key_id]
        if not self._keys:
            raise KeysGoneError(f"{self._url} gives no keys")
        raise TokenError("the token is signed with a key that its issuer does not have")

    async def _fetch(self, key_id: str) -> None:
        since = self._clock() - self._asked
        if since < _AGAIN_S or (key_id in self._keys and since < _OLD_S):  # another request has just asked
            return
        self._asked = self._clock()
        try:
            answer = await self._client.get(self._url, timeout=_TIMEOUT_S)
            answer.raise_for_status()
            found = jwt.PyJWKSet.from_dict(answer.json())
        except (httpx.HTTPError, ValueError, jwt.PyJWTError):
            return
        self._keys = {each.key_id or "": each for each in found.keys if each.public_key_use in {None, "sig"}}
