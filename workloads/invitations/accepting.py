"""A friend takes an invitation up: once, before it is over, and not the own one.

One conditional update; a user's second acceptance fails on the column's UNIQUE. Who comes second, or again, is told by
what the row says then. The rewards are part of the same transaction.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from workloads.invitations import rewards
from workloads.invitations.database import ConstraintError, Database
from workloads.invitations.status import Status, may_become
from workloads.invitations.tokens import User

_ACCEPT = f"""
UPDATE invitations SET status = $1, accepted_at = $2, accepted_by = $3
WHERE invite_code = $4 AND inviter_user_id <> $3 AND accepted_by IS NULL AND expires_at > $2
AND {may_become(Status.ACCEPTED)}
AND NOT EXISTS (SELECT 1 FROM invitations AS sent WHERE sent.inviter_user_id = $3)
RETURNING invitation_id, inviter_user_id
"""  # noqa: S608 - constants
_FIND = """
SELECT inviter_user_id, accepted_by, accepted_at,
EXISTS (SELECT 1 FROM invitations AS sent WHERE sent.inviter_user_id = $2) AS has_invited
FROM invitations WHERE invite_code = $1
"""


@dataclass(frozen=True, slots=True)
class Accepted:
    at: int
    """Milliseconds since 1970; of the first time, if this is a repetition."""


class Refusal(Enum):
    UNKNOWN = "no invitation has this code"
    OVER = "the invitation has expired, or could not be sent"
    OWN = "this is your own invitation. Only a friend can accept it"
    TAKEN = "somebody else has accepted this invitation"
    MEMBER = "only a new user can accept an invitation, and this account is not new"
    """It has invited somebody, or the application says so."""
    NOT_NEW = "you have accepted another invitation before"


Answer = Accepted | Refusal


async def accept(database: Database, code: str, user: User, *, now: int) -> Answer:
    """Raises DatabaseGoneError."""
    if not user.is_new:
        return await _without_accepting(database, code, user)
    try:
        async with database.transaction() as rows:
            found = await rows.fetch(_ACCEPT, Status.ACCEPTED, now, user.id, code)
            if found:
                (row,) = found
                await rewards.give(rows, row["invitation_id"], inviter=row["inviter_user_id"], invitee=user.id, now=now)
                return Accepted(now)
            return _why_not(await rows.fetch(_FIND, code, user.id), user)
    except ConstraintError:
        return Refusal.NOT_NEW


async def _without_accepting(database: Database, code: str, user: User) -> Answer:
    return _why_not(await database.once(_FIND, code, user.id), user)


def _why_not(found: list[Mapping[str, Any]], user: User) -> Answer:
    if not found:
        return Refusal.UNKNOWN
    (row,) = found
    if row["accepted_by"] == user.id:
        return Accepted(row["accepted_at"])
    if row["accepted_by"] is not None:
        return Refusal.TAKEN
    if row["inviter_user_id"] == user.id:
        return Refusal.OWN
    return Refusal.MEMBER if row["has_invited"] or not user.is_new else Refusal.OVER
