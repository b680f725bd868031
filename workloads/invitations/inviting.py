"""One invitation, in one transaction: a key, a place in the user's day, the phone, the invitation, its outbox row.

Each limit is one conditional upsert that either takes the place or finds it taken; whoever comes at the same time
waits for its row. Looking first and inserting then would let 22 of 32 pass a limit of 10. Rows are locked in one
order (key, quota, phone), so nobody waits in a circle, and a phone that is refused gives the quota back: it was the
same transaction.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from workloads.invitations import codes, idempotency
from workloads.invitations.database import Database, Rows
from workloads.invitations.numbers import Phone
from workloads.invitations.privacy import Privacy
from workloads.invitations.settings import Limits
from workloads.invitations.status import Status

_DAY_MS = 86_400_000

_TAKE_QUOTA = """
INSERT INTO quotas (inviter_user_id, day, used) VALUES ($1, $2, 1)
ON CONFLICT (inviter_user_id, day) DO UPDATE SET used = quotas.used + 1 WHERE quotas.used < $3
RETURNING used
"""
_TAKE_PHONE = """
INSERT INTO phones (phone_hash, until, invitation_id) VALUES ($1, $2, $3)
ON CONFLICT (phone_hash) DO UPDATE SET until = excluded.until, invitation_id = excluded.invitation_id
WHERE phones.until <= $4
"""
_ADD = """
INSERT INTO invitations (invitation_id, inviter_user_id, inviter_name, phone_hash, phone_cipher, key_id, region,
                         invite_code, status, created_at, expires_at, trace_parent)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (invite_code) DO NOTHING
"""
_ADD_TO_OUTBOX = "INSERT INTO outbox (invitation_id, created_at) VALUES ($1, $2)"


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for."""

    inviter: str
    inviter_name: str
    """Cleaned."""
    phone: Phone
    trace_parent: str
    key: str = ""
    """Idempotency key, if there is one."""


@dataclass(frozen=True, slots=True)
class Invited:
    invitation_id: str
    code: str
    used: int
    """Of the user's day, this one included."""
    again: bool = False
    """The same request was answered before."""


@dataclass(frozen=True, slots=True)
class QuotaUsedUp:
    pass


@dataclass(frozen=True, slots=True)
class PhoneTaken:
    pass


@dataclass(frozen=True, slots=True)
class KeyOfAnother:
    """The idempotency key came with another request."""


Answer = Invited | QuotaUsedUp | PhoneTaken | KeyOfAnother


class _RefusedError(Exception):
    """Takes the transaction back."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


class NoCodeError(Exception):
    """Every code that was drawn is taken."""


def day_of(now: int) -> int:
    """Days since 1970, UTC."""
    return now // _DAY_MS


def day_ends(now: int) -> int:
    return (day_of(now) + 1) * _DAY_MS


@dataclass(frozen=True, slots=True)
class Inviting:
    database: Database
    privacy: Privacy
    limits: Limits
    draw: Callable[[], str] = codes.draw

    async def invite(self, order: Order, *, now: int) -> Answer:
        """Raises DatabaseGoneError, LockedError (the same key is under way), NoCodeError."""
        invitation_id = f"{now:012x}{secrets.token_hex(8)}"  # in the order of time, so the newest stand together
        try:
            async with self.database.transaction() as rows:
                return await self._invite(rows, order, invitation_id, now)
        except _RefusedError as refused:
            return refused.answer

    async def _invite(self, rows: Rows, order: Order, invitation_id: str, now: int) -> Invited:
        phone_hash = self.privacy.hash(order.phone.e164)
        if order.key:
            note = idempotency.Note(order.inviter, order.key, fingerprint=phone_hash, invitation_id=invitation_id)
            earlier = await idempotency.take(rows, note, now=now, until=now - self.limits.idempotency_ms)
            if earlier is not None:
                return await self._again(rows, order, earlier, phone_hash, now)
        quota = await rows.fetch(_TAKE_QUOTA, order.inviter, day_of(now), self.limits.daily)
        if not quota:
            _refuse(QuotaUsedUp())
        if not await rows.execute(_TAKE_PHONE, phone_hash, now + self.limits.phone_ms, invitation_id, now):
            _refuse(PhoneTaken())
        code = await self._add(rows, order, invitation_id, phone_hash, now)
        await rows.execute(_ADD_TO_OUTBOX, invitation_id, now)
        return Invited(invitation_id, code, used=quota[0]["used"])

    async def _add(self, rows: Rows, order: Order, invitation_id: str, phone_hash: bytes, now: int) -> str:
        sealed = self.privacy.seal(order.phone.e164, invitation_id)
        for _ in range(codes.TRIES):
            code = self.draw()
            if await rows.execute(
                _ADD, invitation_id, order.inviter, order.inviter_name, phone_hash, sealed.cipher, sealed.key_id,
                order.phone.region, code, Status.PENDING, now, now + self.limits.expire_ms, order.trace_parent,
            ):  # fmt: skip
                return code
        raise NoCodeError(f"{codes.TRIES} codes that were drawn are all taken")

    async def _again(self, rows: Rows, order: Order, earlier: idempotency.Note, phone_hash: bytes, now: int) -> Invited:
        if earlier.fingerprint != phone_hash:
            _refuse(KeyOfAnother())
        found = await rows.fetch("SELECT invite_code FROM invitations WHERE invitation_id = $1", earlier.invitation_id)
        quota = await rows.fetch(
            "SELECT used FROM quotas WHERE inviter_user_id = $1 AND day = $2", order.inviter, day_of(now)
        )
        used = quota[0]["used"] if quota else 0
        return Invited(earlier.invitation_id, found[0]["invite_code"], used=used, again=True)


def _refuse(answer: Answer) -> NoReturn:
    raise _RefusedError(answer)


async def release_phone(rows: Rows, invitation_id: str) -> None:
    """Its message will never arrive: whoever wants to may invite that phone again."""
    await rows.execute(
        "DELETE FROM phones WHERE invitation_id = $1 "
        "AND phone_hash = (SELECT phone_hash FROM invitations WHERE invitation_id = $1)",
        invitation_id,
    )
