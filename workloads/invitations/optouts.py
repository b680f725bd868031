"""Who wants no messages: kept as hashes, asked for by the sender right before it sends, and never told to inviters.

The link in a text message opts out, as its secret stands there and nowhere else: not on the page of a code, not in what
an inviter is answered. No link opts in: a STOP is undone by START alone, which only the phone itself can send.
"""

import hmac

from workloads.invitations.database import Database
from workloads.invitations.privacy import Privacy

_PURPOSE = "optout by text message"
_OUT = """
INSERT INTO optouts (phone_hash, since)
SELECT phone_hash, $2 FROM invitations WHERE invitation_id = $1 AND phone_hash IS NOT NULL
ON CONFLICT (phone_hash) DO UPDATE SET since = optouts.since
"""
_ID = "SELECT invitation_id FROM invitations WHERE invite_code = $1"


def secret(privacy: Privacy, invitation_id: str) -> str:
    return privacy.secret(_PURPOSE, invitation_id)


def is_right(privacy: Privacy, invitation_id: str, given: str) -> bool:
    return hmac.compare_digest(secret(privacy, invitation_id).encode(), given.encode(errors="replace"))


async def find(database: Database, privacy: Privacy, code: str, given: str) -> str | None:
    """The invitation of this code, if the secret is its own. Raises DatabaseGoneError."""
    found = await database.once(_ID, code)
    return next((row["invitation_id"] for row in found if is_right(privacy, row["invitation_id"], given)), None)


async def opt_out(database: Database, invitation_id: str, *, now: int) -> bool:
    """The phone that was invited; again is fine. False: nobody knows any more which that was."""
    async with database.transaction() as rows:
        return await rows.execute(_OUT, invitation_id, now) > 0
