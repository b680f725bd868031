"""Sends one invitation: looks whether it may be sent, writes the attempt down, calls the provider, writes the answer.

No provider knows a message that it gets twice. So an attempt is written before its call, and one without an end means
that a message may be out: then nothing is sent any more, by anybody, and the outcome is looked for (`reconcile`).
Only what was certainly refused is tried again.
"""

import asyncio
import logging
import random
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, assert_never

from workloads.common.attempt import LaterError, RefusedError
from workloads.common.aws import OutageError
from workloads.common.job import Job
from workloads.common.job_table import Claim
from workloads.invitations.database import Database, DatabaseGoneError, Rows
from workloads.invitations.inviting import release
from workloads.invitations.quiet_hours import QuietHours
from workloads.invitations.sending import attempt_log, ending
from workloads.invitations.sending.attempt_log import Ending, Note
from workloads.invitations.sending.breaker import Breaker
from workloads.invitations.sending.port import Accepted, Fault, Outcome, Provider, Refused, Sms, Unknown
from workloads.invitations.sending.twilio import OPTED_OUT
from workloads.invitations.sending.wording import UnreadableError, Wording, lock
from workloads.invitations.status import Status

log = logging.getLogger(__name__)

_OPEN = frozenset({Status.PENDING, Status.QUEUED, Status.SENDING})
_PATIENCE_S = 20.0
_PAUSE_S = (0.05, 2.0)
Answer = TypeVar("Answer")


class SetupError(Exception):
    """Nothing was sent, and a person has to change something: the account, its credentials, the settings."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing is left to be done for this invitation."""

    status: Status


@dataclass(frozen=True, slots=True)
class Held:
    """Nothing was sent."""

    fault: Fault
    why: str


@dataclass(frozen=True, slots=True)
class PutOff:
    """It is night where the friend is. Nothing was sent."""

    until: int
    """Milliseconds since 1970."""


Verdict = Ended | Held | PutOff


@dataclass(frozen=True, slots=True)
class _Trial:
    invitation_id: str
    attempt_id: str
    ticket: int | None
    """The breaker's; None: the provider is not to be called."""
    only_now: bool


class Sender:
    """A Work of the claim library, the job's id being the invitation's."""

    def __init__(
        self,
        *,
        database: Database,
        provider: Provider,
        breaker: Breaker,
        wording: Wording,
        quiet_hours: QuietHours | None,
        clock: Callable[[], int],
        told: Callable[[Outcome], None],
    ) -> None:
        """`clock`: milliseconds since 1970; `told`: hears each answer of the provider."""
        self._database = database
        self._provider = provider
        self._breaker = breaker
        self._wording = wording
        self._quiet_hours = quiet_hours
        self._clock = clock
        self._told = told
        self._monotonic = asyncio.get_running_loop().time

    async def __call__(self, job: Job, claim: Claim) -> Mapping[str, Any]:
        del claim
        try:
            verdict = await self.deliver(job.job_id)
        except DatabaseGoneError as problem:
            raise OutageError(f"the database does not answer: {problem}") from problem
        match verdict:
            case Ended(status):
                return {"status": status}
            case PutOff(until):
                raise LaterError((until - self._clock()) / 1000, "it is night where the friend is")
            case Held(Fault.PROVIDER, why):
                raise OutageError(why)
            case Held(_, why):
                raise SetupError(why)
            case _:
                assert_never(verdict)

    async def deliver(self, invitation_id: str, *, only_now: bool = False) -> Verdict:
        """`only_now`: nobody tries again; an invitation that is held is FAILED then.

        Raises RefusedError for an invitation that there is not, DatabaseGoneError.
        """
        ticket = self._breaker.admit(self._monotonic())
        trial = _Trial(invitation_id, secrets.token_hex(12), ticket, only_now=only_now)
        sms = await self._surely(lambda: self._begin(trial))
        if not isinstance(sms, Sms):
            return sms
        outcome = await self._provider.send(sms)
        is_well = isinstance(outcome, Accepted) or (
            isinstance(outcome, Refused) and (outcome.permanent or outcome.of_one_number)
        )
        if trial.ticket is not None:
            self._breaker.note(trial.ticket, well=is_well, now=self._monotonic())
        self._told(outcome)
        note = ending.noted(outcome)
        log.info("an attempt ended", extra=_about(invitation_id, outcome=note.ending, code=note.code, why=note.why))
        return await self._surely(lambda: self._end(trial, outcome, note))

    async def _begin(self, trial: _Trial) -> Sms | Verdict:
        """May be done again: whether a commit arrived is not always known."""
        invitation_id, now = trial.invitation_id, self._clock()
        async with self._database.transaction() as rows:
            invitation = await lock(rows, invitation_id, self._database.dialect)
            if invitation is None:
                raise RefusedError(f"there is no invitation {invitation_id!r}")
            if invitation.status not in _OPEN:
                return Ended(invitation.status)
            if await attempt_log.give_up_started(rows, invitation_id, but=trial.attempt_id, now=now):
                log.warning("an attempt came to no end; it is not repeated", extra=_about(invitation_id))
                return await self._become(rows, invitation_id, Status.UNKNOWN)
            if invitation.expires_at <= now:
                return await self._become(rows, invitation_id, Status.EXPIRED)
            if await rows.fetch("SELECT since FROM optouts WHERE phone_hash = $1", invitation.phone_hash):
                return await self._opted_out(rows, trial, now)
            try:
                sms = self._wording.sms(invitation)
            except UnreadableError as problem:
                return await self._hold(rows, trial, Held(Fault.SETUP, str(problem)))
            # The relay keeps it until the morning; but the queue may have held it up since.
            if self._quiet_hours and (due := self._quiet_hours.due(sms.to, now=now)) > now:
                return PutOff(due)
            if trial.ticket is None:
                why = f"{self._provider.name} failed too often and is left alone for a while"
                return await self._hold(rows, trial, Held(Fault.PROVIDER, why))
            await attempt_log.start(rows, invitation_id, trial.attempt_id, provider=self._provider.name, now=now)
            await ending.advance(rows, invitation_id, Status.SENDING)
            return sms

    async def _end(self, trial: _Trial, outcome: Outcome, note: Note) -> Verdict:
        invitation_id, now = trial.invitation_id, self._clock()
        async with self._database.transaction() as rows:
            await lock(rows, invitation_id, self._database.dialect)
            await attempt_log.end(rows, trial.attempt_id, note, now=now)
            match outcome:
                case Accepted(message_id):
                    await ending.accepted(
                        rows, invitation_id, provider=self._provider.name, message_id=message_id, now=now
                    )  # fmt: skip
                    return Ended(Status.SENT)
                case Unknown():
                    return await self._become(rows, invitation_id, Status.UNKNOWN)
                case Refused(Fault.RECIPIENT, code):
                    if code == OPTED_OUT:
                        await ending.opt_out(rows, invitation_id, now=now)
                    return await self._become(rows, invitation_id, Status.FAILED)
                case Refused(fault):
                    return await self._hold(rows, trial, Held(fault, note.why or ""))
                case _:
                    assert_never(outcome)

    async def _opted_out(self, rows: Rows, trial: _Trial, now: int) -> Ended:
        why = "whoever has this number wants no messages"
        await attempt_log.start(rows, trial.invitation_id, trial.attempt_id, provider=self._provider.name, now=now)
        await attempt_log.end(rows, trial.attempt_id, Note(Ending.REFUSED, code="opted_out", why=why), now=now)
        return await self._become(rows, trial.invitation_id, Status.FAILED)

    async def _hold(self, rows: Rows, trial: _Trial, held: Held) -> Held:
        if trial.only_now:
            await self._become(rows, trial.invitation_id, Status.FAILED)
        return held

    async def _become(self, rows: Rows, invitation_id: str, status: Status) -> Ended:
        if status is Status.FAILED:
            await release(
                rows, self._database.dialect, invitation_id
            )  # nothing was sent: it may be invited again at once
        await ending.advance(rows, invitation_id, status)
        return Ended(status)

    async def _surely(self, write: Callable[[], Awaitable[Answer]]) -> Answer:
        """Through an outage of the database of some seconds: what a provider answered is known only here."""
        until = self._monotonic() + _PATIENCE_S
        pause, longest = _PAUSE_S
        while True:
            try:
                return await write()
            except DatabaseGoneError:
                if self._monotonic() + pause >= until:
                    raise
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            pause = min(pause * 2, longest)


def _about(invitation_id: str, **more: object) -> dict[str, Any]:
    return {"fields": {"invitation": invitation_id, **{name: value for name, value in more.items() if value}}}
