"""What a friend sees who taps the link of a text message. No script, nothing from elsewhere, no account needed.

Whatever the matter is with the invitation, it is a page that says what to do, never a document for programs.
"""

import math
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse

from workloads.invitations import codes, friend_page, optouts
from workloads.invitations.database import DatabaseGoneError
from workloads.invitations.documented import Responses, header
from workloads.invitations.friend_page import GONE, UNKNOWN, View
from workloads.invitations.parts import Parts, parts_of
from workloads.invitations.status import Status
from workloads.invitations.throttle import address_key

router = APIRouter(tags=["friends"])

_FIND = "SELECT invitation_id, inviter_name, status, expires_at FROM invitations WHERE invite_code = $1"
LinkedCode = Annotated[str, Path(examples=["APP-8F3K92"])]
Secret = Annotated[str, Query(description="As the text message has it.")]


_OVER = View(410, "This invitation is over", "Ask your friend to invite you again.")
_ACCEPTED = View(
    410, "This invitation has been used", "If that was you, open the app. If not, ask your friend to invite you again."
)
_STOPPED = View(
    200,
    "You will get no more invitations",
    "If you change your mind, reply START to the text message of an invitation.",
)
_WRONG_LINK = View(
    403, "This link stops no invitations", "Reply STOP to the text message. You will get no more invitations then."
)
_FORGOTTEN = View(410, "We no longer have your number", "If you get another invitation, reply STOP to it.")


def _too_many(seconds: int) -> View:
    minutes = math.ceil(seconds / 60)
    soon = "in a minute" if minutes == 1 else f"in {minutes} minutes"
    return View(429, "Too many wrong codes", f"Somebody at your address tried them. Try again {soon}.", seconds)


def _pages(*views: View) -> Responses:
    found: Responses = {200: {"description": "A page.", "content": {"text/html": {"schema": {"type": "string"}}}}}
    for view in views:
        found[view.status] = {"description": view.title, "content": {"text/html": {"schema": {"type": "string"}}}}
        if view.retry_s:
            found[view.status]["headers"] = {"Retry-After": header("Seconds after which to try again.", view.retry_s)}
    return found


@router.get("/invite/{code}", response_class=HTMLResponse, responses=_pages(UNKNOWN, _OVER, _too_many(600), GONE))
async def invited(request: Request, code: LinkedCode, o: Secret = "") -> HTMLResponse:
    """The page that a referral URL leads to."""
    parts = parts_of(request)
    caller = address_key(request, proxies=parts.settings.serving.proxies)
    wait = parts.throttle.wait_s(caller)
    if wait and not o:
        return _answer(parts, _too_many(wait))
    known = codes.typed(code)
    try:
        found = await parts.database.once(_FIND, known) if known else []
    except DatabaseGoneError:
        return _answer(parts, GONE)
    if not found or known is None:
        wait = parts.throttle.wrong(caller)
        return _answer(parts, _too_many(wait) if wait else UNKNOWN)
    (row,) = found
    stop = f"/invite/{known}/stop?o={o}" if optouts.is_right(parts.privacy, row["invitation_id"], o) else ""
    if o and not stop and (wait := parts.throttle.wrong(*guessed(request, parts, known))):
        return _answer(parts, _too_many(wait))
    if row["status"] == Status.ACCEPTED:
        return _answer(parts, _ACCEPTED, stop=stop)
    if row["status"] in {Status.EXPIRED, Status.FAILED} or row["expires_at"] <= parts.clock():
        return _answer(parts, _OVER, stop=stop)
    view = View(200, f"{row['inviter_name']} invited you to {parts.settings.app_name}", "")
    return _answer(parts, view, code=known, stop=stop)


@router.post(
    "/invite/{code}/stop", response_class=HTMLResponse, responses=_pages(_WRONG_LINK, _FORGOTTEN, _too_many(600), GONE)
)
async def stopped(request: Request, code: LinkedCode, o: Secret = "") -> HTMLResponse:
    """The phone that was invited gets no more invitations. For that page's button; programs have `/api/optouts`."""
    parts = parts_of(request)
    try:
        return _answer(parts, await _stop(request, parts, code, o))
    except DatabaseGoneError:
        return _answer(parts, GONE)


async def _stop(request: Request, parts: Parts, code: str, given: str) -> View:
    known = codes.typed(code)
    invitation_id = await optouts.find(parts.database, parts.privacy, known, given) if known else None
    if invitation_id is None:
        keys = guessed(request, parts, code)
        wait = parts.throttle.wrong(*keys)
        return _too_many(wait) if wait else _WRONG_LINK
    return _STOPPED if await optouts.opt_out(parts.database, invitation_id, now=parts.clock()) else _FORGOTTEN


def guessed(request: Request, parts: Parts, code: str) -> tuple[str, str]:
    """What a wrong secret counts for. A right one is never refused: guesses must not keep a friend from opting out."""
    address = address_key(request, proxies=parts.settings.serving.proxies)
    return address, f"code {codes.typed(code) or ''}"


def _answer(parts: Parts, view: View, *, code: str = "", stop: str = "") -> HTMLResponse:
    sign_up = parts.settings.sign_up_url.replace("{code}", code) if code else ""
    return friend_page.render(view, app=parts.settings.app_name, code=code, stop=stop, sign_up=sign_up)
