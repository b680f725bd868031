"""Who calls the operator, by the service account token that a pod has for it.

The API server judges a token once a minute. While it does not answer, whoever was let in goes on for ten minutes: an
outage must not take a canary's credits away, and tokens end by themselves within the hour.

Anybody can make tokens up. So reviews are bounded in number and rate, at once, in line and for each peer, and tokens
that were good once are reviewed apart from all others.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from controller.api.resources import TOKEN_REVIEWS
from controller.kube.client import KubeClient, UnavailableError
from controller.kube.reviews import (
    ANSWER_LASTS_S,
    AT_ONCE,
    MOST,
    PATIENCE_S,
    REFUSAL_LASTS_S,
    STANDS_S,
    BusyError,
    Reviews,
)

AUDIENCE = "pointsman"
PER_PEER = 4
"""Of new tokens, with those in line: a pod has one token, and a node may speak for its pods."""
IN_LINE = 64
PER_S = 100.0
"""Reviews of new tokens. 2,000 workers that all start at once are let in within 20 s."""
_SERVICE_ACCOUNT = "system:serviceaccount:"
_PAUSE_S = 1.0
"""After a review that the API server did not answer."""
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")
"""RFC 6750, b64token."""


@dataclass(frozen=True)
class Caller:
    """A service account, as the API server names it."""

    namespace: str
    username: str
    uid: str = ""
    groups: tuple[str, ...] = ()


NOBODY = Caller("", "")
"""The token is good for nothing here."""


class _Recent:
    """Whose tokens are, by digest: the last ones that were heard of."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, _Known] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def find(self, digest: bytes, since: float) -> Caller | None:
        known = self._known.get(digest)
        return None if known is None or known.at <= since else known.caller

    def keep(self, digest: bytes, caller: Caller, at: float) -> None:
        self._known[digest] = _Known(caller, at)
        self._known.move_to_end(digest)
        if len(self._known) > MOST:
            self._known.popitem(last=False)

    def forget(self, digest: bytes) -> None:
        self._known.pop(digest, None)


@dataclass(frozen=True)
class _Known:
    caller: Caller
    at: float


class Callers:
    def __init__(self, kube: KubeClient, *, now: Callable[[], float] = time.monotonic) -> None:
        self._kube = kube
        self._now = now
        self._good, self._refused = _Recent(), _Recent()
        """Apart, so that tokens that are made up do not displace any that is good."""
        self._reviews: Reviews[bytes, Caller] = Reviews()
        self._for_new, self._for_known = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(AT_ONCE)
        self._peers: Counter[str] = Counter()
        """For how many new tokens of each a review is on its way."""
        self._paused_until = float("-inf")

    async def caller(self, token: str, peer: str = "") -> Caller:
        """NOBODY: it is no service account's, has ended, or is for another audience. Raises KubeError, soon.

        `peer`: the address that shows the token.
        """
        if not _TOKEN.fullmatch(token):
            return NOBODY
        digest, now = hashlib.sha256(token.encode()).digest(), self._now()
        fresh = self._good.find(digest, now - ANSWER_LASTS_S) or self._refused.find(digest, now - REFUSAL_LASTS_S)
        if fresh is not None:
            return fresh
        known = self._good.find(digest, now - STANDS_S)
        start = partial(self._begin, digest, token, peer if known is None else None)
        return await self._reviews.answer(digest, start, known)

    def _begin(self, digest: bytes, token: str, new_from: str | None) -> asyncio.Task[Caller]:
        """`new_from`: the peer; None: the token was good before. Raises BusyError."""
        if self._now() < self._paused_until:
            raise BusyError
        if new_from is not None:
            if self._peers[new_from] >= PER_PEER or self._peers.total() >= AT_ONCE + IN_LINE:
                raise BusyError
            self._peers[new_from] += 1
        review = asyncio.create_task(
            self._review(digest, token, self._for_known if new_from is None else self._for_new)
        )
        if new_from is not None:
            review.add_done_callback(lambda _: self._leave(new_from))
        return review

    def _leave(self, peer: str) -> None:
        self._peers[peer] -= 1
        if not self._peers[peer]:
            del self._peers[peer]

    async def _review(self, digest: bytes, token: str, places: asyncio.Semaphore) -> Caller:
        async with asyncio.timeout(PATIENCE_S):
            await places.acquire()
        # held for as long as makes the rate, though the answer may come sooner
        loop = asyncio.get_running_loop()
        earliest = loop.time() + AT_ONCE / PER_S
        try:
            caller = await self._ask(token)
        except UnavailableError as error:
            self._paused_until = self._now() + max(_PAUSE_S, error.retry_after)
            raise
        finally:
            loop.call_at(earliest, places.release)
        if caller != NOBODY:
            self._good.keep(digest, caller, self._now())
        else:
            self._good.forget(digest)
            self._refused.keep(digest, caller, self._now())
        return caller

    async def _ask(self, token: str) -> Caller:
        review = await self._kube.create(
            TOKEN_REVIEWS,
            None,
            {
                "apiVersion": TOKEN_REVIEWS.api_version,
                "kind": TOKEN_REVIEWS.kind,
                "spec": {"token": token, "audiences": [AUDIENCE]},
            },
        )
        status = review.get("status", {})
        user = status.get("user", {})
        username = str(user.get("username", ""))
        if not status.get("authenticated") or AUDIENCE not in status.get("audiences", ()):
            return NOBODY
        before, _, account = username.partition(_SERVICE_ACCOUNT)
        namespace = account.partition(":")[0]
        if before or not namespace:
            return NOBODY
        return Caller(namespace, username, str(user.get("uid", "")), tuple(map(str, user.get("groups") or ())))
