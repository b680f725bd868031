"""Clears away what is old, a bounded piece at a time: phone numbers first of all.

Every statement may be repeated and may run in several processes at once. What is left of an invitation after its time
is who invited when, and what became of it.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

from workloads.invitations.database import Database, DatabaseGoneError
from workloads.invitations.quota import WINDOW_MS
from workloads.invitations.settings import Limits
from workloads.invitations.status import Status, may_become

log = logging.getLogger(__name__)

_PIECE = 1000
_EVERY_S = 60.0
_OUTBOX_KEPT_MS = 86_400_000
_DAYS_KEPT = 2
_CLIENTS_KEPT_MS = 30 * 86_400_000
"""Who comes again within this time is no new client of the version."""


@dataclass(frozen=True, slots=True)
class _Step:
    what: str
    sql: str
    """`$1` is a time, or a day: what is before it goes."""
    before: int


class Purging:
    def __init__(self, database: Database, limits: Limits, *, clock: Callable[[], int]) -> None:
        self._database = database
        self._limits = limits
        self._clock = clock

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                await self.clear()
            except DatabaseGoneError as problem:
                log.warning("old rows cannot be cleared away now", extra={"fields": {"why": str(problem)}})
            await asyncio.sleep(_EVERY_S * random.uniform(0.5, 1.0))  # noqa: S311 - jitter

    async def clear(self) -> dict[str, int]:
        """How many rows of each kind it changed. Raises DatabaseGoneError."""
        changed = {step.what: await self._all_of(step) for step in self._steps()}
        if any(changed.values()):
            log.info("old rows are cleared away", extra={"fields": {what: n for what, n in changed.items() if n}})
        return changed

    async def _all_of(self, step: _Step) -> int:
        total = 0
        while True:
            async with self._database.transaction() as rows:
                changed = await rows.execute(step.sql, step.before)
            total += changed
            if changed < _PIECE:
                return total

    def _steps(self) -> list[_Step]:
        now, limits = self._clock(), self._limits
        return [
            _Step("numbers", _FORGET, now - limits.purge_ms),
            _Step("attempts", _delete("attempts", "attempt_id", "started_at < $1"), now - limits.purge_ms),
            _Step("callbacks", _CALLBACKS, now - limits.purge_ms),
            _Step("expired", _EXPIRE, now),
            _Step("phones", _delete("phones", "phone_hash", "until <= $1"), now),
            _Step("keys", _KEYS, now - limits.idempotency_ms),
            _Step("sent", _delete("outbox", "position", "sent_at < $1"), now - _OUTBOX_KEPT_MS),
            _Step("clients", _CLIENTS, now - _CLIENTS_KEPT_MS),
            _Step("quotas", _delete("quota_windows", "inviter_user_id", "newest_at <= $1"), now - WINDOW_MS),
            _Step("old quotas", _QUOTAS, now // WINDOW_MS - _DAYS_KEPT),
        ]


def _delete(table: str, key: str, condition: str) -> str:
    piece = f"SELECT {key} FROM {table} WHERE {condition} LIMIT {_PIECE}"  # noqa: S608 - of this file
    return f"DELETE FROM {table} WHERE {key} IN ({piece})"  # noqa: S608 - of this file


_FORGET = f"""
UPDATE invitations SET phone_cipher = NULL, phone_hash = NULL, key_id = NULL, inviter_name = ''
WHERE invitation_id IN (
  SELECT invitation_id FROM invitations WHERE phone_cipher IS NOT NULL AND created_at < $1 LIMIT {_PIECE}
)
"""  # noqa: S608 - of this file
_EXPIRE = f"""
UPDATE invitations SET status = '{Status.EXPIRED}' WHERE {may_become(Status.EXPIRED)} AND invitation_id IN (
  SELECT invitation_id FROM invitations WHERE {may_become(Status.EXPIRED)} AND expires_at <= $1 LIMIT {_PIECE}
)
"""  # noqa: S608 - of this file
_CALLBACKS = f"""
DELETE FROM callbacks WHERE (provider_message_id, status) IN (
  SELECT provider_message_id, status FROM callbacks WHERE received_at < $1 LIMIT {_PIECE}
)
"""  # noqa: S608 - of this file
_KEYS = f"""
DELETE FROM idempotency WHERE (inviter_user_id, key) IN (
  SELECT inviter_user_id, key FROM idempotency WHERE created_at <= $1 LIMIT {_PIECE}
)
"""  # noqa: S608 - of this file
_CLIENTS = f"""
DELETE FROM clients WHERE (revision, client_hash) IN (
  SELECT revision, client_hash FROM clients WHERE seen_at < $1 LIMIT {_PIECE}
)
"""  # noqa: S608 - of this file
_QUOTAS = f"""
DELETE FROM quotas WHERE (inviter_user_id, day) IN (
  SELECT inviter_user_id, day FROM quotas WHERE day < $1 LIMIT {_PIECE}
)
"""  # noqa: S608 - of this file
