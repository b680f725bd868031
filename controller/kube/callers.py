"""Who calls the operator, by the service account token that a pod has for it.

The API server is asked once a minute and token. While it does not answer, whoever was let in goes on for ten minutes:
an outage must not take a canary's credits away, and tokens end by themselves within the hour.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from controller.api.resources import TOKEN_REVIEWS
from controller.kube.client import KubeClient, KubeError

AUDIENCE = "pointsman"
_ANSWER_LASTS_S = 60.0
_STANDS_S = 600.0
_MOST = 10_000
_SERVICE_ACCOUNT = "system:serviceaccount:"


@dataclass(frozen=True)
class _Known:
    namespace: str
    """Empty: the token is good for nothing here."""
    at: float


class Callers:
    def __init__(self, kube: KubeClient, *, now: Callable[[], float] = time.monotonic) -> None:
        self._kube = kube
        self._now = now
        self._known: OrderedDict[bytes, _Known] = OrderedDict()

    async def namespace(self, token: str) -> str:
        """Of the service account; empty: it is none's, has ended, or is for another audience. Raises KubeError."""
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is not None and self._now() - known.at < _ANSWER_LASTS_S:
            return known.namespace
        try:
            namespace = await self._ask(token)
        except KubeError:
            if known is not None and known.namespace and self._now() - known.at < _STANDS_S:
                return known.namespace
            raise
        self._known[digest] = _Known(namespace, self._now())
        self._known.move_to_end(digest)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)
        return namespace

    async def _ask(self, token: str) -> str:
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
        username = status.get("user", {}).get("username", "")
        if not status.get("authenticated") or AUDIENCE not in status.get("audiences", ()):
            return ""
        before, _, account = str(username).partition(_SERVICE_ACCOUNT)
        return "" if before else account.partition(":")[0]
