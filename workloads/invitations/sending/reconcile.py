"""Finds out what became of messages whose answer never came. It reads and notes; it never sends.

Twilio can be asked (and its callback may tell before anybody asks). SNS cannot: there an invitation stays UNKNOWN until
a person looks into SNS's delivery logs, or the friend accepts it. That a provider lists no such message is no proof
that none is on its way, so nothing but a found one changes anything; a phone is free again after its 24 hours anyway.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

from workloads.invitations.database import Database, DatabaseGoneError
from workloads.invitations.sending import attempt_log, ending
from workloads.invitations.sending.attempt_log import Ending, Note
from workloads.invitations.sending.port import Provider, Traced, Untraced
from workloads.invitations.sending.settings import Search
from workloads.invitations.sending.wording import COLUMNS, Invitation, UnreadableError, Wording, lock, of
from workloads.invitations.status import Status

log = logging.getLogger(__name__)

_MOST = 1000
_MOST_LOOKS = 50
_MS = 1000


@dataclass(frozen=True, slots=True)
class _Lost:
    attempt_id: str
    started_at: int
    invitation: Invitation


class Reconciler:
    """Any number of them may look at the same time: they find the same."""

    def __init__(
        self, *, database: Database, provider: Provider, wording: Wording, search: Search, clock: Callable[[], int]
    ) -> None:
        """`clock`: milliseconds since 1970."""
        self._database = database
        self._provider = provider
        self._wording = wording
        self._search = search
        self._clock = clock
        self._due: dict[str, int] = {}
        """When an attempt is looked for next; what is not in it, now."""

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(self._search.every * random.uniform(0.8, 1.2))  # noqa: S311 - jitter
            try:
                await self.look()
            except DatabaseGoneError as problem:
                log.warning("lost messages cannot be looked for now", extra={"fields": {"why": str(problem)}})

    async def look(self) -> int:
        """How many it found. Raises DatabaseGoneError."""
        await self._give_up_abandoned()
        lost, now = await self._lost(), self._clock()
        self._due = {each.attempt_id: self._due.get(each.attempt_id, now) for each in lost}
        found = 0
        for each in [each for each in lost if self._due[each.attempt_id] <= now][:_MOST_LOOKS]:
            # Looked for after a while, after twice that while, and so on.
            self._due[each.attempt_id] = now + max(round(self._search.every * _MS), now - each.started_at)
            found += await self._find(each)
        return found

    async def _give_up_abandoned(self) -> None:
        """Attempts whose job does not come again: it lies in the dead letter queue, or its message is gone."""
        now = self._clock()
        async with self._database.transaction() as rows:
            abandoned = await rows.fetch(
                "SELECT DISTINCT invitation_id FROM attempts WHERE outcome = $1 AND started_at < $2 "  # noqa: S608
                f"ORDER BY invitation_id LIMIT {_MOST}",
                Ending.STARTED, now - round(self._search.abandoned_after * _MS),
            )  # fmt: skip
        for each in abandoned:
            async with self._database.transaction() as rows:
                await lock(rows, each["invitation_id"], self._database.dialect)
                await attempt_log.give_up_started(rows, each["invitation_id"], now=now)
                await ending.advance(rows, each["invitation_id"], Status.UNKNOWN)

    async def _lost(self) -> list[_Lost]:
        """The newest first: they are the likeliest to be found."""
        async with self._database.transaction() as rows:
            found = await rows.fetch(
                f"SELECT a.attempt_id, a.started_at, {COLUMNS} "  # noqa: S608
                "FROM attempts a JOIN invitations i ON i.invitation_id = a.invitation_id "
                "WHERE a.outcome = $1 AND i.status = $2 AND a.provider = $3 AND a.started_at >= $4 "
                f"ORDER BY a.started_at DESC LIMIT {_MOST}",
                Ending.UNKNOWN, Status.UNKNOWN, self._provider.name, self._clock() - round(self._search.for_ * _MS),
            )  # fmt: skip
        return [_Lost(row["attempt_id"], row["started_at"], of(row)) for row in found]

    async def _find(self, lost: _Lost) -> bool:
        invitation_id = lost.invitation.invitation_id
        try:
            sms = self._wording.sms(lost.invitation)
        except UnreadableError as problem:
            log.warning("a lost message cannot be looked for", extra=_about(invitation_id, str(problem)))
            return False
        match await self._provider.find(sms, since=lost.started_at / _MS):
            case Untraced(why):
                log.info("a lost message is not found", extra=_about(invitation_id, why))
                return False
            case Traced(message_id, delivery):
                now = self._clock()
                async with self._database.transaction() as rows:
                    await lock(rows, invitation_id, self._database.dialect)
                    note = Note(Ending.ACCEPTED, message_id=message_id)
                    await attempt_log.end(rows, lost.attempt_id, note, now=now)
                    await ending.accepted(
                        rows, invitation_id, provider=self._provider.name, message_id=message_id, now=now
                    )  # fmt: skip
                    await ending.delivered(rows, invitation_id, delivery, now=now)
                log.info("a lost message is found", extra=_about(invitation_id, delivery))
                return True


def _about(invitation_id: str, why: str) -> dict[str, dict[str, str]]:
    return {"fields": {"invitation": invitation_id, "why": ending.without_numbers(why)}}
