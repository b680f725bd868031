"""Who wants no messages: kept as hashes, asked for by the sender right before it sends, and never told to inviters.

A link to opt out stands on the page of an invitation. It is signed: only who has seen that page can use it.
"""

from workloads.invitations.database import Database
from workloads.invitations.privacy import Privacy

_PURPOSE = "optout"
_OUT = """
INSERT INTO optouts (phone_hash, since)
SELECT phone_hash, $2 FROM invitations WHERE invite_code = $1 AND phone_hash IS NOT NULL
ON CONFLICT (phone_hash) DO UPDATE SET since = optouts.since
"""
_IN = "DELETE FROM optouts WHERE phone_hash = (SELECT phone_hash FROM invitations WHERE invite_code = $1)"
_KNOWN = "SELECT 1 FROM invitations WHERE invite_code = $1 AND phone_hash IS NOT NULL"


def signature(privacy: Privacy, code: str) -> str:
    return privacy.signature(_PURPOSE, code)


def is_signed(privacy: Privacy, code: str, given: str) -> bool:
    return privacy.is_signed(_PURPOSE, code, given)


async def opt_out(database: Database, code: str, *, now: int) -> bool:
    """The phone that was invited with this code; again is fine. False: nobody knows any more which that was."""
    async with database.transaction() as rows:
        return await rows.execute(_OUT, code, now) > 0


async def opt_in(database: Database, code: str) -> bool:
    """The opposite."""
    async with database.transaction() as rows:
        await rows.execute(_IN, code)
        return bool(await rows.fetch(_KNOWN, code))
