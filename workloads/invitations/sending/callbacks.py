"""Twilio tells how far a message has come. It may tell twice, late, in any order, and before its own answer arrived.

Each status of a message counts once, and an invitation's only goes forward.
"""

import logging
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from workloads.invitations.database import Database, Dialect, Rows
from workloads.invitations.inviting import release
from workloads.invitations.parts import parts_of
from workloads.invitations.problems import Code, ProblemError
from workloads.invitations.sending import attempt_log, ending, twilio
from workloads.invitations.sending.attempt_log import Ending, Note
from workloads.invitations.sending.from_twilio import signed_form
from workloads.invitations.sending.port import Delivery
from workloads.invitations.sending.wording import lock
from workloads.invitations.status import Status

log = logging.getLogger(__name__)

router = APIRouter(include_in_schema=False)


@router.post("/callbacks/twilio/{invitation_id}")
async def twilio_callback(request: Request, invitation_id: str) -> Response:
    """204 for what is understood, or was before; 403 for what is not Twilio's; 404 for an invitation there is not."""
    said = await signed_form(request, lambda account: account.callback(invitation_id))
    parts = parts_of(request)
    told = Told(said.get("MessageSid", ""), said.get("MessageStatus", ""), said.get("ErrorCode", ""))
    if not told.message_id or not told.status:
        raise ProblemError(Code.MALFORMED_REQUEST, "MessageSid and MessageStatus are missing")
    if not await note(parts.database, invitation_id, told, now=parts.clock()):
        raise ProblemError(Code.NOT_FOUND, "this invitation does not exist")
    return Response(status_code=204)


@dataclass(frozen=True, slots=True)
class Told:
    message_id: str
    status: str
    error: str
    """Twilio's code, "" for none."""


async def note(database: Database, invitation_id: str, told: Told, *, now: int) -> bool:
    """False: there is no such invitation. Raises DatabaseGoneError."""
    async with database.transaction() as rows:
        if await lock(rows, invitation_id, database.dialect) is None:
            return False
        is_new = await rows.execute(
            "INSERT INTO callbacks (provider_message_id, status, received_at) VALUES ($1, $2, $3) "
            "ON CONFLICT (provider_message_id, status) DO NOTHING",
            told.message_id, told.status, now,
        )  # fmt: skip
        become = await _advance(rows, database.dialect, invitation_id, told, now=now) if is_new else None
    log.info(
        "a callback",
        extra={"fields": {"invitation": invitation_id, "says": told.status, "error": told.error, "became": become}},
    )
    return True


async def _advance(rows: Rows, dialect: Dialect, invitation_id: str, told: Told, *, now: int) -> Status | None:
    delivery = twilio.delivery(told.status)
    if delivery is None or not await _is_its(rows, invitation_id, told.message_id, now):
        return None
    if delivery is Delivery.UNDELIVERED and twilio.is_lost_for_good(told.error):
        await release(rows, dialect, invitation_id)
        if told.error == twilio.OPTED_OUT:
            await ending.opt_out(rows, invitation_id, now=now)
    return await ending.delivered(rows, invitation_id, delivery, now=now)


async def _is_its(rows: Rows, invitation_id: str, message_id: str, now: int) -> bool:
    """An invitation without a message gets this one: the callback is faster than the answer, or there was none."""
    [found] = await rows.fetch(
        "SELECT provider_message_id AS message_id FROM invitations WHERE invitation_id = $1", invitation_id
    )
    if found["message_id"] is None:
        await attempt_log.end_newest(rows, invitation_id, Note(Ending.ACCEPTED, message_id=message_id), now=now)
        await ending.accepted(rows, invitation_id, provider=twilio.Twilio.name, message_id=message_id, now=now)
        return True
    return str(found["message_id"]) == message_id
