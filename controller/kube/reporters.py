"""Who may report to a Release's share ledger: the API server judges by RBAC, and is asked once a minute.

Asked only of callers whose token is good, and for ledgers that exist, so that nobody can make up names. All pods of a
service account share an answer. While the API server does not answer, whoever may report goes on for ten minutes, as
in `callers.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

from controller.api.names import GROUP
from controller.api.resources import RELEASES, SUBJECT_ACCESS_REVIEWS
from controller.kube.callers import AT_ONCE, BusyError, Caller
from controller.kube.client import KubeClient, KubeError
from controller.kube.objects import Key

VERB, SUBRESOURCE = "update", "ledger"
"""On `releases/ledger`, which no object has: it is a right and nothing else."""
ROLE = "pointsman-worker"
"""The ClusterRole that has it."""
_ALLOWED_LASTS_S = 60.0
_REFUSED_LASTS_S = 10.0
_STANDS_S = 600.0
_MOST = 10_000
_PATIENCE_S = 1.0
"""Workers wait for 1.5 s. The review goes on, so that their next request finds its answer."""
_PATIENCE_OF_THE_KNOWN_S = 0.25

_Access = tuple[Caller, Key]


class Reporters:
    def __init__(self, kube: KubeClient, *, now: Callable[[], float] = time.monotonic) -> None:
        self._kube = kube
        self._now = now
        self._answers: OrderedDict[_Access, tuple[bool, float]] = OrderedDict()
        """With the moment of each."""
        self._reviews: dict[_Access, asyncio.Task[bool]] = {}
        self._places = asyncio.Semaphore(AT_ONCE)

    async def may_report(self, caller: Caller, release: Key) -> bool:
        """Raises KubeError, soon."""
        access = caller, release
        allowed, at = self._answers.get(access, (False, float("-inf")))
        age = self._now() - at
        if age < (_ALLOWED_LASTS_S if allowed else _REFUSED_LASTS_S):
            return allowed
        known = allowed and age < _STANDS_S
        review = self._reviews.get(access) or self._begin(access)
        try:
            async with asyncio.timeout(_PATIENCE_OF_THE_KNOWN_S if known else _PATIENCE_S):
                return await asyncio.shield(review)
        except (KubeError, TimeoutError) as error:
            if known:
                return True
            raise error if isinstance(error, KubeError) else BusyError() from error

    def _begin(self, access: _Access) -> asyncio.Task[bool]:
        """One review, whoever asks."""
        review = self._reviews[access] = asyncio.create_task(self._review(access))
        review.add_done_callback(lambda done: self._end(access, done))
        return review

    def _end(self, access: _Access, review: asyncio.Task[bool]) -> None:
        del self._reviews[access]
        if not review.cancelled():
            review.exception()  # whoever waited may be gone, and asyncio would log what nobody retrieved

    async def _review(self, access: _Access) -> bool:
        async with self._places:
            allowed = await self._ask(*access)
        self._answers[access] = allowed, self._now()
        self._answers.move_to_end(access)
        if len(self._answers) > _MOST:
            self._answers.popitem(last=False)
        return allowed

    async def _ask(self, caller: Caller, release: Key) -> bool:
        attributes = {
            "namespace": release.namespace,
            "name": release.name,
            "group": GROUP,
            "resource": RELEASES.plural,
            "subresource": SUBRESOURCE,
            "verb": VERB,
        }
        who = {"user": caller.username, "uid": caller.uid, "groups": list(caller.groups)}
        review = await self._kube.create(
            SUBJECT_ACCESS_REVIEWS,
            None,
            {
                "apiVersion": SUBJECT_ACCESS_REVIEWS.api_version,
                "kind": SUBJECT_ACCESS_REVIEWS.kind,
                "spec": {"resourceAttributes": attributes, **who},
            },
        )
        return review.get("status", {}).get("allowed") is True
