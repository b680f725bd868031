"""`GET /invite/{code}`: what a friend sees who taps the link. No script, nothing from elsewhere, no account needed."""

import re
from html import escape
from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse

from workloads.invitations import codes, optouts
from workloads.invitations.documented import problems
from workloads.invitations.parts import Parts, parts_of
from workloads.invitations.problems import Code, ProblemError
from workloads.invitations.status import Status

router = APIRouter(tags=["friends"])

_FIND = "SELECT inviter_name, status, expires_at, phone_hash FROM invitations WHERE invite_code = $1"
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",  # the address holds the code
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="/page/icon.svg" type="image/svg+xml">
<title>{inviter} invited you to {app}</title>
<style>
body {{ font: 1.1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 32rem; padding: 2rem 1rem; }}
code {{ font-size: 1.4rem; font-weight: bold; }}
button {{ font: inherit; padding: .5rem 1rem; }}
</style>
<main>
<h1>{inviter} invited you to {app}</h1>
<p>Sign up in the app with this code:</p>
<p><code>{code}</code></p>
<form method="post" action="{optout}">
<p>You want no messages like this one any more? <button>Send me none</button></p>
</form>
</main>
</html>
"""


@router.get(
    "/invite/{code}",
    response_class=HTMLResponse,
    responses=problems(Code.MALFORMED_REQUEST, Code.NOT_FOUND, Code.GONE, Code.UNAVAILABLE),
)
async def invited(request: Request, code: Annotated[str, Path(max_length=64)]) -> HTMLResponse:
    """The page that a referral URL leads to."""
    parts = parts_of(request)
    found = await parts.database.once(_FIND, code) if re.fullmatch(codes.PATTERN, code) else []
    if not found:
        raise ProblemError(Code.NOT_FOUND, "no invitation has this code")
    (row,) = found
    if row["status"] == Status.EXPIRED or row["expires_at"] <= parts.clock():
        raise ProblemError(Code.GONE, "the invitation has expired: ask your friend for another")
    if row["status"] == Status.ACCEPTED:
        raise ProblemError(Code.GONE, "the invitation has been accepted")
    return HTMLResponse(_page(parts, code, row["inviter_name"]), headers=_HEADERS)


def _page(parts: Parts, code: str, inviter: str) -> str:
    optout = f"/api/optouts?code={code}&signature={optouts.signature(parts.privacy, code)}"
    return _PAGE.format(
        inviter=escape(inviter), app=escape(parts.settings.app_name), code=escape(code), optout=escape(optout)
    )
