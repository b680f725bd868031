"""How a page for friends looks, and what it says where a program would get a problem document.

Whoever taps the link of a text message is no program, whatever refuses the request: a route, a bound, a defect.
"""

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

PATHS = "/invite/"
_GONE_S = 2
_FOLDER = Path(__file__).with_name("page")
_STYLE = (_FOLDER / "page.css").read_text()
"""In the page itself: where a service is full or fails, a second request for it would be refused as well."""
_STYLE_HASH = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",  # the address holds the code, and what opts out
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
_TEMPLATE = Environment(
    loader=FileSystemLoader(_FOLDER),
    autoescape=select_autoescape(default=True, default_for_string=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
).get_template("friend.html.jinja")


@dataclass(frozen=True, slots=True)
class View:
    """Of a page without an invitation in it: what is the matter, and what to do."""

    status: int
    title: str
    advice: str
    retry_s: int = 0


UNKNOWN = View(
    404, "There is no such invitation", "Check the code in your text message, or ask your friend to invite you again."
)
GONE = View(503, "We cannot show your invitation now", "Try again in a minute. Your invitation is kept.", _GONE_S)
_AGAIN = View(400, "This did not work", "Open the link in your text message again.")


def of_problem(status: int, headers: Mapping[str, str]) -> HTMLResponse:
    """`headers`: what the problem's answer has, such as Allow and Retry-After."""
    if status >= 500:  # noqa: PLR2004
        view = replace(GONE, status=status)
    else:
        view = UNKNOWN if status == UNKNOWN.status else replace(_AGAIN, status=status)
    page = render(view)
    page.headers.update(headers)
    return page


def render(view: View, *, app: str = "", code: str = "", stop: str = "", sign_up: str = "") -> HTMLResponse:
    """`code`: of an invitation that can be accepted. `stop`: what opts out, for who has the text message."""
    headers = {**_HEADERS, "Retry-After": str(view.retry_s)} if view.retry_s else _HEADERS
    style = Markup(_STYLE)  # noqa: S704 - a file of ours
    page = _TEMPLATE.render(style=style, view=view, app=app, code=code, stop=stop, sign_up=sign_up)
    return HTMLResponse(page, status_code=view.status, headers=headers)
