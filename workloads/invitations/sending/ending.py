"""What an outcome makes of an attempt and its invitation: one transaction, whoever brings it.

The provider's own answer, its callback and a search may all tell of the same message, in any order. What is known is
kept, and a status only goes forward.
"""

import re
from typing import assert_never

from workloads.invitations.database import Rows
from workloads.invitations.privacy import mask
from workloads.invitations.sending.attempt_log import Ending, Note
from workloads.invitations.sending.port import Accepted, Delivery, Outcome, Refused, Unknown
from workloads.invitations.status import Status, may_become

_NUMBER = re.compile(r"\+?[0-9]{8,15}")


def noted(outcome: Outcome) -> Note:
    match outcome:
        case Accepted(message_id):
            return Note(Ending.ACCEPTED, message_id=message_id)
        case Refused(_, code, why):
            return Note(Ending.REFUSED, code=code, why=without_numbers(why))
        case Unknown(why):
            return Note(Ending.UNKNOWN, why=without_numbers(why))
        case _:
            assert_never(outcome)


def without_numbers(text: str) -> str:
    """Providers repeat the number in what they say; logs and the attempts' table outlive it."""
    return _NUMBER.sub(lambda found: mask(found.group()), text)


async def accepted(rows: Rows, invitation_id: str, *, provider: str, message_id: str, now: int) -> None:
    """Its delivery, or its acceptance by the friend, may be known before."""
    await rows.execute(
        "UPDATE invitations SET sent_at = COALESCE(sent_at, $2), provider = $3, provider_message_id = $4 "
        "WHERE invitation_id = $1",
        invitation_id, now, provider, message_id,
    )  # fmt: skip
    await advance(rows, invitation_id, Status.SENT)


async def delivered(rows: Rows, invitation_id: str, delivery: Delivery, *, now: int) -> Status | None:
    """What it became; None: more was known before."""
    match delivery:
        case Delivery.SENT:
            become = Status.SENT
        case Delivery.DELIVERED:
            become = Status.DELIVERED
            await rows.execute(
                "UPDATE invitations SET delivered_at = COALESCE(delivered_at, $2) WHERE invitation_id = $1",
                invitation_id, now,
            )  # fmt: skip
        case Delivery.UNDELIVERED:
            become = Status.UNDELIVERED
        case _:
            assert_never(delivery)
    return become if await advance(rows, invitation_id, become) else None


async def opt_out(rows: Rows, invitation_id: str, *, now: int) -> None:
    """The provider says that whoever has the number wants no messages."""
    await rows.execute(
        "INSERT INTO optouts (phone_hash, since) "
        "SELECT phone_hash, $2 FROM invitations WHERE invitation_id = $1 AND phone_hash IS NOT NULL "
        "ON CONFLICT (phone_hash) DO NOTHING",
        invitation_id, now,
    )  # fmt: skip


async def advance(rows: Rows, invitation_id: str, status: Status) -> bool:
    """False: it has come further, or has ended."""
    changed = await rows.execute(
        f"UPDATE invitations SET status = $2 WHERE invitation_id = $1 AND {may_become(status)}",  # noqa: S608
        invitation_id, status,
    )  # fmt: skip
    return changed > 0
