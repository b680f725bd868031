"""A friend replies STOP. Twilio sends them nothing any more, and tells; nobody else is to send to them either.

The address of this is to be set at the number, or the messaging service, as what Twilio calls for incoming messages.
"""

import logging
import string

from fastapi import APIRouter, Request, Response

from workloads.invitations.parts import parts_of
from workloads.invitations.sending.from_twilio import signed_form
from workloads.invitations.sending.twilio import Account

log = logging.getLogger(__name__)

router = APIRouter(include_in_schema=False)

_STOP = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"})
_AROUND = string.whitespace + string.punctuation + "\u2026\u201c\u201d\u2018\u2019\u00a0"
"""What phones and people put around a word: `Stop.`"""
_START = frozenset({"START", "UNSTOP", "YES"})
_NO_ANSWER = "<Response/>"
"""In TwiML; Twilio has answered STOP and START itself."""


@router.post("/callbacks/twilio")
async def twilio_reply(request: Request) -> Response:
    form = await signed_form(request, Account.replies)
    # Twilio says what a word means where the account has words of its own.
    word = (form.get("OptOutType") or form.get("Body", "")).strip(_AROUND).upper()
    parts, number = parts_of(request), form.get("From", "")
    phone_hash = parts.privacy.hash(number)
    async with parts.database.transaction() as rows:
        if word in _STOP:
            await rows.execute(
                "INSERT INTO optouts (phone_hash, since) VALUES ($1, $2) ON CONFLICT (phone_hash) DO NOTHING",
                phone_hash, parts.clock(),
            )  # fmt: skip
        elif word in _START:
            await rows.execute("DELETE FROM optouts WHERE phone_hash = $1", phone_hash)
    log.info("a reply", extra={"fields": {"means": word if word in _STOP | _START else "nothing"}})
    return Response(_NO_ANSWER, media_type="text/xml")
