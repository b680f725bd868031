"""Who may report to a Release's share ledger, or send its alerts: the API server judges by RBAC, and is asked once a
minute.

Asked only of callers whose token is good, and for ledgers that exist: names can be made up. All pods of a
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
from controller.kube.callers import Caller
from controller.kube.client import KubeClient
from controller.kube.objects import Key
from controller.kube.reviews import ANSWER_LASTS_S, AT_ONCE, MOST, REFUSAL_LASTS_S, STANDS_S, Reviews

VERB, SUBRESOURCE = "update", "ledger"
"""On `releases/ledger`, which no object has: it is a right and nothing else."""
ROLE = "pointsman-worker"
"""The ClusterRole that has it."""
_Access = tuple[Caller, Key]


class Reporters:
    def __init__(
        self, kube: KubeClient, subresource: str = SUBRESOURCE, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        """`subresource`: of Releases; nothing has it, it is what the right is called."""
        self._kube = kube
        self._subresource = subresource
        self._now = now
        self._answers: dict[bool, OrderedDict[_Access, float]] = {True: OrderedDict(), False: OrderedDict()}
        """The moment of each, by what it was: apart, so that whoever may not report displaces nobody who may."""
        self._reviews: Reviews[_Access, bool] = Reviews()
        self._places = asyncio.Semaphore(AT_ONCE)

    async def may_report(self, caller: Caller, release: Key) -> bool:
        """`release` without a name: for all of the namespace. Raises KubeError, soon."""
        access = caller, release
        now, never = self._now(), float("-inf")
        allowed, refused = (now - self._answers[one].get(access, never) for one in (True, False))
        if allowed < ANSWER_LASTS_S:
            return True
        if refused < REFUSAL_LASTS_S:
            return False
        known = True if allowed < STANDS_S else None
        return await self._reviews.answer(access, lambda: asyncio.create_task(self._review(access)), known)

    async def _review(self, access: _Access) -> bool:
        async with self._places:
            allowed = await self._ask(*access)
        self._answers[not allowed].pop(access, None)
        answers = self._answers[allowed]
        answers[access] = self._now()
        answers.move_to_end(access)
        if len(answers) > MOST:
            answers.popitem(last=False)
        return allowed

    async def _ask(self, caller: Caller, release: Key) -> bool:
        attributes = {
            "namespace": release.namespace,
            "name": release.name,
            "group": GROUP,
            "resource": RELEASES.plural,
            "subresource": self._subresource,
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
