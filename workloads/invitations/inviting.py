"""One invitation, in one transaction: a key, a place in the user's window, the phone, the invitation, its outbox row.

Each limit is one conditional upsert that either takes the place or finds it taken; whoever comes at the same time
waits for its row. Looking first and inserting then would let 22 of 32 pass a limit of 10. Rows are locked in one
order (key, quota, phone), so nobody waits in a circle, and a phone that is refused gives the quota back: it was the
same transaction.

PostgreSQL takes it all in one statement, at a third of the cost of six; a statement that finds anything in the way
changes nothing, and then the same is gone through step by step to tell what it was.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from workloads.invitations import codes, idempotency, quota
from workloads.invitations.database import ConstraintError, Database, Dialect, Rows
from workloads.invitations.order import (
    Answer,
    Invited,
    KeyOfAnother,
    NoCodeError,
    Order,
    PhoneTaken,
    QuotaUsedUp,
)
from workloads.invitations.privacy import Privacy
from workloads.invitations.quiet_hours import QuietHours
from workloads.invitations.settings import Limits
from workloads.invitations.status import Status

_TAKE_PHONE = """
INSERT INTO phones (phone_hash, until, invitation_id) VALUES ($1, $2, $3)
ON CONFLICT (phone_hash) DO UPDATE SET until = excluded.until, invitation_id = excluded.invitation_id
WHERE phones.until <= $4
"""
_COLUMNS = """
invitation_id, inviter_user_id, inviter_name, phone_hash, phone_cipher, key_id, region, invite_code, status,
created_at, expires_at, trace_parent
"""
_ADD = f"""
INSERT INTO invitations ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (invite_code) DO NOTHING
"""  # noqa: S608 - constants
_ADD_TO_OUTBOX = "INSERT INTO outbox (invitation_id, created_at, due_at) VALUES ($1, $2, $3)"

_QUOTA = quota.taking(
    values="SELECT $2, ARRAY[$1], $10 WHERE $16 = '' OR EXISTS (SELECT FROM key)", since="$13", limit="$14"
)

# Each step reads from the one before and does nothing when that found its place taken. The last must not be left out
# once anything was written: the column takes no NULL, so without an invitation the whole statement fails.
_AT_ONCE = f"""
WITH key AS (
  INSERT INTO idempotency (inviter_user_id, key, fingerprint, invitation_id, created_at)
  SELECT $2, $16, $4, $1, $10 WHERE $16 <> ''
  ON CONFLICT (inviter_user_id, key) DO NOTHING
  RETURNING key
), quota AS ({_QUOTA}), phone AS (
  INSERT INTO phones (phone_hash, until, invitation_id) SELECT $4, $15, $1 FROM quota
  ON CONFLICT (phone_hash) DO UPDATE SET until = excluded.until, invitation_id = excluded.invitation_id
  WHERE phones.until <= $10
  RETURNING phone_hash
), invitation AS (
  INSERT INTO invitations ({_COLUMNS}) SELECT $1, $2, $3, phone_hash, $5, $6, $7, $8, $9, $10, $11, $12 FROM phone
  ON CONFLICT (invite_code) DO NOTHING
  RETURNING invitation_id
), queued AS (
  INSERT INTO outbox (invitation_id, created_at, due_at)
  SELECT (SELECT invitation_id FROM invitation), $10, $17 WHERE EXISTS (SELECT FROM key) OR EXISTS (SELECT FROM quota)
)
SELECT used, oldest FROM quota
"""  # noqa: S608 - constants


class _RefusedError(Exception):
    """Takes the transaction back."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


@dataclass(frozen=True, slots=True)
class _Draft:
    """An invitation that is not stored yet."""

    order: Order
    invitation_id: str
    phone_hash: bytes
    now: int
    expires: int
    phone_until: int
    due: int
    """When the message may leave."""
    cipher: bytes
    key_id: str

    def row(self, code: str) -> tuple[object, ...]:
        order = self.order
        return (
            self.invitation_id, order.inviter, order.inviter_name, self.phone_hash, self.cipher, self.key_id,
            order.phone.region, code, Status.PENDING, self.now, self.expires, order.trace_parent,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Inviting:
    database: Database
    privacy: Privacy
    limits: Limits
    quiet_hours: QuietHours | None = None
    draw: Callable[[], str] = codes.draw

    async def invite(self, order: Order, *, now: int) -> Answer:
        """Raises DatabaseGoneError, LockedError (the same key is under way), NoCodeError."""
        draft = self._draft(order, now)
        if self.database.dialect is Dialect.POSTGRESQL and (answer := await self._at_once(draft)):
            return answer
        try:
            async with self.database.transaction() as rows:
                return await self._step_by_step(rows, draft)
        except _RefusedError as refused:
            return refused.answer

    def _draft(self, order: Order, now: int) -> _Draft:
        invitation_id = f"{now:012x}{secrets.token_hex(8)}"  # in the order of time, so the newest stand together
        sealed = self.privacy.seal(order.phone.e164, invitation_id)
        return _Draft(
            order=order,
            invitation_id=invitation_id,
            phone_hash=self.privacy.hash(order.phone.e164),
            now=now,
            expires=now + self.limits.expire_ms,
            phone_until=now + self.limits.phone_ms,
            due=self.quiet_hours.due(order.phone.e164, now=now) if self.quiet_hours else now,
            cipher=sealed.cipher,
            key_id=sealed.key_id,
        )

    async def _at_once(self, draft: _Draft) -> Invited | None:
        """None: something is in the way, and nothing was done."""
        code, order = self.draw(), draft.order
        rest = (quota.oldest_id(draft.now), self.limits.daily, draft.phone_until, order.key, draft.due)
        try:
            found = await self.database.once(_AT_ONCE, *draft.row(code), *rest)
        except ConstraintError:  # the phone or the code is taken; or the quota is used up, with a key
            return None
        if found:
            return Invited(draft.invitation_id, code, quota.window(found[0]["used"], found[0]["oldest"]))
        return None

    async def _step_by_step(self, rows: Rows, draft: _Draft) -> Invited:
        order, now = draft.order, draft.now
        if order.key:
            note = idempotency.Note(
                order.inviter, order.key, fingerprint=draft.phone_hash, invitation_id=draft.invitation_id
            )
            earlier = await idempotency.take(rows, note, now=now, until=now - self.limits.idempotency_ms)
            if earlier is not None:
                return await self._again(rows, draft, earlier)
        window = await quota.take(
            rows, self.database.dialect, order.inviter, draft.invitation_id, now=now, limit=self.limits.daily
        )
        if window is None:
            _refuse(QuotaUsedUp(await quota.of(rows, order.inviter, now=now, limit=self.limits.daily)))
        if not await rows.execute(_TAKE_PHONE, draft.phone_hash, draft.phone_until, draft.invitation_id, now):
            taken = await rows.fetch("SELECT until FROM phones WHERE phone_hash = $1", draft.phone_hash)
            _refuse(PhoneTaken(taken[0]["until"]))
        code = await self._add(rows, draft)
        await rows.execute(_ADD_TO_OUTBOX, draft.invitation_id, now, draft.due)
        return Invited(draft.invitation_id, code, window)

    async def _again(self, rows: Rows, draft: _Draft, earlier: idempotency.Note) -> Invited:
        if earlier.fingerprint != draft.phone_hash:
            _refuse(KeyOfAnother())
        (found,) = await rows.fetch(
            "SELECT invite_code, status FROM invitations WHERE invitation_id = $1", earlier.invitation_id
        )
        window = await quota.of(rows, draft.order.inviter, now=draft.now, limit=self.limits.daily)
        return Invited(earlier.invitation_id, found["invite_code"], window, again=True, status=Status(found["status"]))

    async def _add(self, rows: Rows, draft: _Draft) -> str:
        for _ in range(codes.TRIES):
            code = self.draw()
            if await rows.execute(_ADD, *draft.row(code)):
                return code
        raise NoCodeError(f"{codes.TRIES} codes that were drawn are all taken")


def _refuse(answer: Answer) -> NoReturn:
    raise _RefusedError(answer)


async def release(rows: Rows, dialect: Dialect, invitation_id: str) -> None:
    """Its message will never arrive: the phone may be invited again, and the user has the place back."""
    await quota.give_back(rows, dialect, invitation_id)
    await rows.execute(
        "DELETE FROM phones WHERE invitation_id = $1 "
        "AND phone_hash = (SELECT phone_hash FROM invitations WHERE invitation_id = $1)",
        invitation_id,
    )
