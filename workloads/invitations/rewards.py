"""The ledger of rewards: one entry an invitation and kind, whatever is repeated. Paying them out is somebody else's."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from workloads.invitations.database import Database, Rows

_GIVE = """
INSERT INTO rewards (invitation_id, kind, user_id, created_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (invitation_id, kind) DO NOTHING
"""
_OF = """
SELECT invitation_id, kind, created_at FROM rewards WHERE user_id = $1
ORDER BY created_at DESC, invitation_id DESC LIMIT 1000
"""


class Kind(StrEnum):
    INVITER = "INVITER"
    INVITEE = "INVITEE"


async def give(rows: Rows, invitation_id: str, *, inviter: str, invitee: str, now: int) -> None:
    """To both, for an invitation that was accepted."""
    for kind, user in ((Kind.INVITER, inviter), (Kind.INVITEE, invitee)):
        await rows.execute(_GIVE, invitation_id, kind, user, now)


async def of(database: Database, user: str) -> Sequence[Mapping[str, Any]]:
    """The newest thousand, the newest first."""
    return await database.once(_OF, user)
