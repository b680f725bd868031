"""Every attempt to send, and what became of it: a row is written before the provider is called.

A row that is still STARTED when somebody else looks at the invitation belongs to a process that died, or lost its
lease, between the call and its answer. Whether the message left nobody knows then, so it is not sent again.
"""

from dataclasses import dataclass
from enum import StrEnum

from workloads.invitations.database import Rows

_LONGEST = 500


class Ending(StrEnum):
    STARTED = "STARTED"
    ACCEPTED = "ACCEPTED"
    REFUSED = "REFUSED"
    UNKNOWN = "UNKNOWN"


OPEN = f"outcome IN ('{Ending.STARTED}', '{Ending.UNKNOWN}')"
"""A condition of SQL: more may become known of it."""


@dataclass(frozen=True, slots=True)
class Note:
    """What an attempt ends with. Nothing in it holds a phone number."""

    ending: Ending
    message_id: str | None = None
    """The provider's."""
    code: str | None = None
    why: str | None = None


async def start(rows: Rows, invitation_id: str, attempt_id: str, *, provider: str, now: int) -> None:
    """Done again with the same `attempt_id`, it changes nothing."""
    await rows.execute(
        "INSERT INTO attempts (attempt_id, invitation_id, number, provider, started_at, outcome) "
        "SELECT $1, $2, 1 + COUNT(*), $3, $4, $5 FROM attempts WHERE invitation_id = $2 "
        "ON CONFLICT (attempt_id) DO NOTHING",
        attempt_id, invitation_id, provider, now, Ending.STARTED,
    )  # fmt: skip


async def end(rows: Rows, attempt_id: str, note: Note, *, now: int) -> bool:
    """False: it had ended before."""
    changed = await rows.execute(
        "UPDATE attempts SET outcome = $2, provider_message_id = $3, code = $4, why = $5, ended_at = $6 "  # noqa: S608
        f"WHERE attempt_id = $1 AND {OPEN}",
        attempt_id, note.ending, note.message_id, note.code, note.why and note.why[:_LONGEST], now,
    )  # fmt: skip
    return changed > 0


async def end_newest(rows: Rows, invitation_id: str, note: Note, *, now: int) -> None:
    """The newest of which more may become known."""
    found = await rows.fetch(
        f"SELECT attempt_id FROM attempts WHERE invitation_id = $1 AND {OPEN} ORDER BY number DESC LIMIT 1",  # noqa: S608
        invitation_id,
    )
    for each in found:
        await end(rows, each["attempt_id"], note, now=now)


async def give_up_started(rows: Rows, invitation_id: str, *, but: str = "", now: int) -> bool:
    """Whether there was one without an end, `but` for one of one's own; it is UNKNOWN from now on."""
    changed = await rows.execute(
        "UPDATE attempts SET outcome = $2, why = $3, ended_at = $4 "
        "WHERE invitation_id = $1 AND outcome = $5 AND attempt_id <> $6",
        invitation_id, Ending.UNKNOWN, "whoever made it was gone before it had an answer", now, Ending.STARTED, but,
    )  # fmt: skip
    return changed > 0
