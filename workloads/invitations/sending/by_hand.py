"""What only a person can tell: whether a message whose outcome is unknown was sent, by the provider's own logs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workloads.invitations.database import Database, Rows
from workloads.invitations.inviting import release
from workloads.invitations.sending import attempt_log, ending
from workloads.invitations.sending.attempt_log import Ending, Note
from workloads.invitations.sending.wording import lock
from workloads.invitations.status import Status


@dataclass(frozen=True, slots=True)
class Lost:
    invitation_id: str
    attempt: int
    provider: str
    started_at: int
    """Milliseconds since 1970."""
    why: str


class NotUnknownError(Exception):
    """Says how the invitation stands instead."""


async def lost(database: Database, *, most: int) -> list[Lost]:
    """The oldest first. Raises DatabaseGoneError."""
    async with database.transaction() as rows:
        found = await rows.fetch(
            "SELECT i.invitation_id, a.number, a.provider, a.started_at, a.why FROM invitations i "
            "JOIN attempts a ON a.invitation_id = i.invitation_id "
            "WHERE i.status = $1 AND a.outcome = $2 ORDER BY a.started_at LIMIT $3",
            Status.UNKNOWN, Ending.UNKNOWN, most,
        )  # fmt: skip
    return [_lost(row) for row in found]


async def was_sent(database: Database, invitation_id: str, message_id: str, *, now: int) -> None:
    """`message_id`: the provider's. Raises NotUnknownError, DatabaseGoneError."""
    async with database.transaction() as rows:
        await _lock_unknown(rows, invitation_id, database)
        [attempt] = await rows.fetch(
            "SELECT provider FROM attempts WHERE invitation_id = $1 ORDER BY number DESC LIMIT 1", invitation_id
        )
        await attempt_log.end_newest(rows, invitation_id, Note(Ending.ACCEPTED, message_id=message_id), now=now)
        await ending.accepted(rows, invitation_id, provider=attempt["provider"], message_id=message_id, now=now)


async def was_not_sent(database: Database, invitation_id: str, *, now: int) -> None:
    """The phone may be invited again at once. Raises NotUnknownError, DatabaseGoneError."""
    async with database.transaction() as rows:
        await _lock_unknown(rows, invitation_id, database)
        note = Note(Ending.REFUSED, code="by_hand", why="a person found that it was not sent")
        await attempt_log.end_newest(rows, invitation_id, note, now=now)
        await release(rows, database.dialect, invitation_id)
        await ending.advance(rows, invitation_id, Status.FAILED)


async def _lock_unknown(rows: Rows, invitation_id: str, database: Database) -> None:
    invitation = await lock(rows, invitation_id, database.dialect)
    if invitation is None:
        raise NotUnknownError(f"there is no invitation {invitation_id!r}")
    if invitation.status is not Status.UNKNOWN:
        raise NotUnknownError(f"invitation {invitation_id} is {invitation.status}, not UNKNOWN: nothing is to be told")


def _lost(row: Mapping[str, Any]) -> Lost:
    return Lost(row["invitation_id"], row["number"], row["provider"], row["started_at"], row["why"] or "")
