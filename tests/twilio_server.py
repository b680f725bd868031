"""A strict small Twilio: the Messages resource of the published API, and the moods that a real one may have."""

from __future__ import annotations

import asyncio
import base64
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from enum import Enum, auto
from typing import Any

import httpx
from aiohttp import web

from workloads.invitations.sending.signature import signature

SID = "AC" + "0" * 32
TOKEN = "a token that is only good for tests"  # noqa: S105
SENDER = "+12025550100"
PUBLIC_URL = "https://app.example.com"
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_MESSAGES = {
    20003: (401, "Authenticate"),
    20429: (429, "Too Many Requests"),
    21211: (400, "The 'To' number {to} is not a valid phone number."),
    21408: (400, "Permission to send an SMS has not been enabled for the region indicated by the 'To' number: {to}."),
    21602: (400, "Message body is required."),
    21603: (400, "A 'From' phone number is required."),
    21606: (400, "The From phone number is not a valid, SMS-capable inbound phone number for your account."),
    21610: (400, "Attempt to send to unsubscribed recipient"),
    21614: (400, "To number: {to}, is not a mobile number"),
}


class Mood(Enum):
    WELL = auto()
    SLOW = auto()
    """Accepts, and answers once it is `released`."""
    SILENT = auto()
    """Accepts, and never answers."""
    GONE = auto()
    """Accepts, and closes the connection."""
    BROKEN = auto()
    """Accepts, and answers 500."""
    DEAF = auto()
    """Does not accept, and never answers."""
    BUSY = auto()
    """429"""


@dataclass
class TwilioServer:
    moods: dict[str, Mood] = field(default_factory=dict)
    """By number; the others find it well, or as `mood` says."""
    mood: Mood = Mood.WELL
    refuses: dict[str, int] = field(default_factory=dict)
    """By number: with which code."""
    messages: list[dict[str, Any]] = field(default_factory=list)
    """What it accepted, the newest last."""
    asked: int = 0
    """How many messages it was asked to send."""
    hidden: bool = False
    """Lists are empty: a search may be behind."""
    url: str = ""
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def to(self, number: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["to"] == number]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[TwilioServer]:
        app = web.Application()
        app.router.add_post("/2010-04-01/Accounts/{sid}/Messages.json", self._create)
        app.router.add_get("/2010-04-01/Accounts/{sid}/Messages.json", self._list)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PROVIDER": "twilio",
            "TWILIO_URL": self.url,
            "TWILIO_ACCOUNT_SID": SID,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_SENDER": SENDER,
            "PUBLIC_URL": PUBLIC_URL,
        }

    async def tell(
        self,
        client: httpx.AsyncClient,
        message: dict[str, Any],
        status: str,
        *,
        token: str = TOKEN,
        sign_for: str = "",
        **more: str,
    ) -> httpx.Response:
        """Its callback, as it reaches the service behind whatever stands before it. `sign_for`: another address."""
        form = {
            "AccountSid": SID, "ApiVersion": "2010-04-01", "From": message["from"], "To": message["to"],
            "MessageSid": message["sid"], "MessageStatus": status, "SmsSid": message["sid"], "SmsStatus": status,
            **more,
        }  # fmt: skip
        return await _post(client, message["status_callback"], form, token=token, sign_for=sign_for)

    async def reply(self, client: httpx.AsyncClient, number: str, text: str, **more: str) -> httpx.Response:
        """A friend's, to its number."""
        form = {
            "AccountSid": SID, "ApiVersion": "2010-04-01", "From": number, "To": SENDER, "Body": text, "NumMedia": "0",
            "MessageSid": f"SM{uuid.uuid4().hex}", **more,
        }  # fmt: skip
        return await _post(client, f"{PUBLIC_URL}/callbacks/twilio", form)

    async def _create(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        if problem := _unauthorized(request):
            return problem
        if request.content_type != "application/x-www-form-urlencoded":
            return _error(20001, status=415, message="Unsupported media type")
        form = {name: str(value) for name, value in (await request.post()).items()}
        to = form.get("To", "")
        code = self.refuses.get(to) or _fault(form)
        if code is not None:
            return _error(code, to=to)
        match self.moods.get(to, self.mood):
            case Mood.WELL:
                return web.json_response(self._accept(form), status=201)
            case Mood.SLOW:
                accepted = self._accept(form)
                await self.released.wait()
                return web.json_response(accepted, status=201)
            case Mood.BUSY:
                return _error(20429)
            case Mood.DEAF:
                await asyncio.Event().wait()
            case Mood.SILENT:
                self._accept(form)
                await asyncio.Event().wait()
            case Mood.GONE:
                self._accept(form)
                assert request.transport is not None
                request.transport.abort()
            case Mood.BROKEN:
                self._accept(form)
        return web.Response(status=500, text="<html>upstream error</html>")

    def _accept(self, form: dict[str, str]) -> dict[str, Any]:
        message = {
            "sid": f"SM{uuid.uuid4().hex}",
            "account_sid": SID,
            "to": form["To"],
            "from": form.get("From"),
            "messaging_service_sid": form.get("MessagingServiceSid"),
            "body": form["Body"],
            "status": "queued",
            "direction": "outbound-api",
            "date_created": format_datetime(datetime.now(UTC)),
            "date_sent": None,
            "error_code": None,
        }
        self.messages.append({**message, "status_callback": form["StatusCallback"]})
        return message

    async def _list(self, request: web.Request) -> web.StreamResponse:
        if problem := _unauthorized(request):
            return problem
        found = [] if self.hidden else self.to(request.query["To"])[::-1][: int(request.query["PageSize"])]
        public = [{name: value for name, value in each.items() if name != "status_callback"} for each in found]
        return web.json_response({"messages": public, "page": 0, "next_page_uri": None})


async def _post(
    client: httpx.AsyncClient, url: str, form: dict[str, str], *, token: str = TOKEN, sign_for: str = ""
) -> httpx.Response:
    signed = signature(token, sign_for or url, list(form.items()))
    return await client.post(httpx.URL(url).path, data=form, headers={"X-Twilio-Signature": signed})


def _unauthorized(request: web.Request) -> web.Response | None:
    expected = "Basic " + base64.b64encode(f"{SID}:{TOKEN}".encode()).decode()
    is_known = request.headers.get("Authorization") == expected and request.match_info["sid"] == SID
    return None if is_known else _error(20003)


def _fault(form: dict[str, str]) -> int | None:
    """The first rule that a request breaks."""
    if not _E164.fullmatch(form.get("To", "")):
        return 21211
    if not form.get("From") and not form.get("MessagingServiceSid"):
        return 21603
    if form.get("From") not in {SENDER, None}:
        return 21606
    if not form.get("Body"):
        return 21602
    return None


def _error(code: int, *, to: str = "", status: int = 0, message: str = "") -> web.Response:
    baseline_rates = _MESSAGES.get(code, (400, "Refused"))
    body = {
        "code": code,
        "message": message or baseline_rates[1].format(to=to),
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status or baseline_rates[0],
    }
    return web.json_response(body, status=status or baseline_rates[0])
