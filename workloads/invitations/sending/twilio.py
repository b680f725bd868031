"""Twilio's Messages API (https://www.twilio.com/docs/messaging/api/message-resource), version 2010-04-01.

A 4xx is Twilio's word that there is no message. A 5xx is not: a gateway may have lost the answer of a server that
accepted it. So everything but a 4xx and a connection that never came about is an outcome that nobody knows.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from workloads.invitations.sending.port import (
    Accepted,
    Delivery,
    Fault,
    Outcome,
    Refused,
    Sms,
    Traced,
    Unknown,
    Untraced,
)

_RECIPIENT = frozenset(
    {
        21211,  # not a valid number
        21214,  # cannot be reached
        21217,  # does not appear to be valid
        21610,  # it has replied STOP
        21612,  # no route from our number to it
        21614,  # not a mobile number
        21635,  # a landline
    }
)
_OUR_ACCOUNT = frozenset(
    {
        21408,  # it may not send to the region of this number: mended in its settings, and no fault of the number
        21608,  # a trial account may only send to verified numbers
    }
)
_LOST = frozenset(
    {
        30003,  # the handset cannot be reached
        30005,  # nobody has the number
        30006,  # a landline, or a carrier that takes no messages
    }
)
OPTED_OUT = "21610"
_DELIVERIES = {
    **dict.fromkeys(("accepted", "scheduled", "queued", "sending", "sent"), Delivery.SENT),
    **dict.fromkeys(("delivered", "read"), Delivery.DELIVERED),
    **dict.fromkeys(("undelivered", "failed", "canceled"), Delivery.UNDELIVERED),
}
_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_BAD_REQUEST, _REQUEST_TIMEOUT, _TOO_MANY, _SERVER_ERROR = 400, 408, 429, 500
_CLOCKS_DIFFER_S = 60.0
_PAGE = 50
_CONNECT_S = 3.0


@dataclass(frozen=True, slots=True)
class Account:
    sid: str
    token: str = field(repr=False)
    sender: str
    """A number, an alphanumeric sender, or the sid of a messaging service (MG…)."""
    url: str
    """Of the API."""
    public_url: str
    """Of this service, as Twilio is to reach it."""

    def callback(self, invitation_id: str) -> str:
        return f"{self.replies()}/{invitation_id}"

    def replies(self) -> str:
        """Where incoming messages go."""
        return f"{self.public_url}/callbacks/twilio"


class Twilio:
    name = "twilio"

    def __init__(self, account: Account, *, seconds: float) -> None:
        """`seconds`: how long a call may take in all."""
        logging.getLogger("httpx").setLevel(logging.WARNING)  # logs addresses, and that of a search holds the number
        self._account = account
        self._seconds = seconds
        self._client = httpx.AsyncClient(
            base_url=f"{account.url}/2010-04-01/Accounts/{account.sid}",
            auth=(account.sid, account.token),
            timeout=httpx.Timeout(seconds, connect=min(_CONNECT_S, seconds)),
        )

    async def aclose(self) -> None:
        await self._client.aclose()

    async def send(self, message: Sms) -> Outcome:
        sender = "MessagingServiceSid" if self._account.sender.startswith("MG") else "From"
        form = {
            "To": message.to,
            "Body": message.text,
            sender: self._account.sender,
            "StatusCallback": self._account.callback(message.invitation_id),
        }
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._client.post("/Messages.json", data=form)
        except _NEVER_LEFT as problem:
            return Refused(Fault.PROVIDER, "unreachable", f"Twilio cannot be reached: {_named(problem)}")
        except (httpx.TransportError, TimeoutError) as problem:
            return Unknown(f"Twilio did not answer: {_named(problem)}")
        return outcome(answer.status_code, _json(answer))

    async def find(self, message: Sms, *, since: float) -> Traced | Untraced:
        """Not by Twilio's filter on dates: it goes by when a message was sent on, which one in its queue was not."""
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._client.get("/Messages.json", params={"To": message.to, "PageSize": _PAGE})
        except (httpx.TransportError, TimeoutError) as problem:
            return Untraced(f"Twilio did not answer: {_named(problem)}")
        if answer.is_error:
            return Untraced(f"Twilio answered {answer.status_code}")
        for each in _json(answer).get("messages", ()):
            if message.mark in (each.get("body") or "") and _at(each) >= since - _CLOCKS_DIFFER_S:
                return Traced(str(each["sid"]), delivery(str(each.get("status"))) or Delivery.SENT)
        return Untraced("Twilio lists no such message")


def is_lost_for_good(code: str) -> bool:
    """Of the error in a callback: this message never arrives, and another one may be tried."""
    return _is_one_of(code, _RECIPIENT | _LOST)


def _is_one_of(code: str, known: frozenset[int]) -> bool:
    return code.isdecimal() and int(code) in known


def delivery(status: str) -> Delivery | None:
    """None for a status that says nothing of delivery, or that is new."""
    return _DELIVERIES.get(status)


def outcome(status: int, body: Mapping[str, Any]) -> Outcome:
    """Of an answer to a new message."""
    if status < _BAD_REQUEST:
        sid = body.get("sid")
        return Accepted(sid) if isinstance(sid, str) and sid else Unknown(f"Twilio answered {status} without a sid")
    why = str(body.get("message") or f"Twilio answered {status}")
    if status >= _SERVER_ERROR or status == _REQUEST_TIMEOUT:
        return Unknown(why)
    code = body.get("code")
    if status == _TOO_MANY:
        return Refused(Fault.PROVIDER, str(code or status), why)
    if _is_one_of(str(code), _RECIPIENT):
        return Refused(Fault.RECIPIENT, str(code), why)
    return Refused(Fault.SETUP, str(code or status), why, of_one_number=_is_one_of(str(code), _OUR_ACCOUNT))


def _json(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _at(message: Mapping[str, Any]) -> float:
    """When it was made, seconds since 1970; 0 where that cannot be read."""
    try:
        return parsedate_to_datetime(str(message.get("date_created"))).timestamp()
    except ValueError:
        return 0.0


def _named(problem: Exception) -> str:
    """Without the request, whose body holds the number."""
    return f"{type(problem).__name__}: {problem}" if str(problem) else type(problem).__name__
