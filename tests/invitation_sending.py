"""An invitation service that sends, for tests: its database, a provider that may have moods, and what became of it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from hack.node.aws import LocalAws
from tests.invitation_service import Watch, environment
from tests.twilio_server import TwilioServer
from workloads.invitations.database import Session
from workloads.invitations.inviting import Inviting
from workloads.invitations.numbers import Phone
from workloads.invitations.order import Invited, Order, PhoneTaken
from workloads.invitations.privacy import Privacy
from workloads.invitations.sending.port import Outcome
from workloads.invitations.sending.running import Hooks, Sending, sending
from workloads.invitations.sending.sender import Verdict
from workloads.invitations.settings import Settings, read

FRIEND = "+12025550123"
FAST = {"PROVIDER_SECONDS": "2", "BREAKER_FAILURES": "1000", "RECONCILE_SECONDS": "3600"}


@dataclass
class Sends:
    """One process's sending part, on a database of its own."""

    settings: Settings
    database: Session
    watch: Watch
    parts: Sending
    heard: list[Outcome] = field(default_factory=list)

    @property
    def inviting(self) -> Inviting:
        return Inviting(self.database, Privacy(self.settings.keys), self.settings.limits)

    async def invite(self, number: str = FRIEND, *, user: str = "ana") -> str:
        """The invitation's id."""
        invited = await self.try_to_invite(number, user=user)
        assert isinstance(invited, Invited)
        return invited.invitation_id

    async def try_to_invite(self, number: str = FRIEND, *, user: str = "ana") -> object:
        order = Order(inviter=user, inviter_name="Ana", phone=Phone(number, "US"), trace_parent="")
        return await self.inviting.invite(order, now=self.watch())

    async def is_phone_free(self, number: str = FRIEND) -> bool:
        """Takes it, if so."""
        return not isinstance(await self.try_to_invite(number, user="somebody else"), PhoneTaken)

    async def deliver(self, invitation_id: str, *, only_now: bool = False) -> Verdict:
        return await self.parts.sender.deliver(invitation_id, only_now=only_now)

    async def leave_half_sent(self, invitation_id: str) -> None:
        """As a process does that dies between its attempt's row and the answer."""
        await self.execute("UPDATE invitations SET status = 'SENDING' WHERE invitation_id = $1", invitation_id)
        await self.execute(
            "INSERT INTO attempts (attempt_id, invitation_id, number, provider, started_at, outcome) "
            "VALUES ('of the dead', $1, 1, 'twilio', $2, 'STARTED')",
            invitation_id, self.watch(),
        )  # fmt: skip

    async def look(self) -> int:
        return await self.parts.reconciler.look()

    async def invitation(self, invitation_id: str) -> Mapping[str, Any]:
        [row] = await self.rows("SELECT * FROM invitations WHERE invitation_id = $1", invitation_id)
        return row

    async def status(self, invitation_id: str) -> str:
        return str((await self.invitation(invitation_id))["status"])

    async def attempts(self, invitation_id: str) -> list[Mapping[str, Any]]:
        return await self.rows("SELECT * FROM attempts WHERE invitation_id = $1 ORDER BY number", invitation_id)

    async def rows(self, sql: str, *args: object) -> list[Mapping[str, Any]]:
        async with self.database.transaction() as rows:
            return await rows.fetch(sql, *args)

    async def execute(self, sql: str, *args: object) -> int:
        async with self.database.transaction() as rows:
            return await rows.execute(sql, *args)


@contextlib.asynccontextmanager
async def sends(
    database_url: str, database: Session, server: TwilioServer | None, *, hooks: Hooks | None = None, **more: str
) -> AsyncIterator[Sends]:
    """As a request would wait for it, unless `more` gives it the role of a sender. Without a server: the sandbox."""
    variables = {"DELIVERY": "synchronous", **FAST, **(server.environment if server else {}), **more}
    settings = read(environment(database_url, **variables))
    watch, heard = Watch(), list[Outcome]()
    async with sending(settings, database, clock=watch, hooks=hooks or Hooks(told=heard.append)) as parts:
        assert parts is not None
        yield Sends(settings, database, watch, parts, heard)


def sent_by_sns(aws: LocalAws, number: str) -> list[dict[str, Any]]:
    """What the local AWS has of messages to it."""
    answer = httpx.get(f"{aws.url}/_ministack/sns/sms-messages", params={"phoneNumber": number}, trust_env=False)
    found: list[dict[str, Any]] = answer.json()["sms_messages"][number]
    return found
