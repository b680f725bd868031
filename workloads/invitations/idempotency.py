"""A request that is sent again, with the same `Idempotency-Key`, is answered again and done once.

The key's row is the first that the transaction writes: a second request waits for the first one's end, and finds
either its answer or, when that was rolled back, nothing. A refusal is therefore not kept: the next try may succeed.
"""

from dataclasses import dataclass

from workloads.invitations.database import Rows

LONGEST = 128

_TAKE = """
INSERT INTO idempotency (inviter_user_id, key, fingerprint, invitation_id, created_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (inviter_user_id, key) DO UPDATE
SET fingerprint = excluded.fingerprint, invitation_id = excluded.invitation_id, created_at = excluded.created_at
WHERE idempotency.created_at <= $6
"""
_FIND = "SELECT fingerprint, invitation_id FROM idempotency WHERE inviter_user_id = $1 AND key = $2"


@dataclass(frozen=True, slots=True)
class Note:
    user: str
    """Keys of two users have nothing to do with each other."""
    key: str
    fingerprint: bytes
    """Of what was asked for, to tell a repetition from a mistake."""
    invitation_id: str


async def forget(rows: Rows, user: str, key: str, *, invitation_id: str) -> None:
    """Nothing came of this invitation: the next request with its key is a new one."""
    await rows.execute(
        "DELETE FROM idempotency WHERE inviter_user_id = $1 AND key = $2 AND invitation_id = $3",
        user, key, invitation_id,
    )  # fmt: skip


async def take(rows: Rows, note: Note, *, now: int, until: int) -> Note | None:
    """None: the key is new, or older than `until`; else the note that came before, and nothing is changed."""
    if await rows.execute(_TAKE, note.user, note.key, note.fingerprint, note.invitation_id, now, until):
        return None
    (found,) = await rows.fetch(_FIND, note.user, note.key)
    return Note(note.user, note.key, fingerprint=bytes(found["fingerprint"]), invitation_id=found["invitation_id"])
