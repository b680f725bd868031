"""A page on which a user enters a friend's number and clicks "Invite Friend"; without a framework or foreign code.

Its files have one name for all versions and are asked for anew each time (ETag): during a release, a page of one
version loads its script from another, and a name with a hash in it would not be found there.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request, Response

from workloads.invitations.problems import Code, ProblemError

FOLDER = Path(__file__).with_name("page")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
"""Nothing inline, nothing from elsewhere, no frame around it."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    body: bytes
    media_type: str
    tag: str

    def answer(self, request: Request) -> Response:
        """304 if the browser has the same bytes."""
        headers = {**HEADERS, "ETag": self.tag}
        if self.tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(self.body, media_type=self.media_type, headers=headers)


def asset(body: bytes, suffix: str) -> Asset:
    return Asset(body, _TYPES[suffix], f'"{hashlib.sha256(body).hexdigest()[:32]}"')


_ASSETS = {
    file.name: asset(file.read_bytes(), file.suffix) for file in sorted(FOLDER.iterdir()) if file.suffix in _TYPES
}
_PAGE = "index.html"

router = APIRouter(include_in_schema=False)


@router.get("/")
async def page(request: Request) -> Response:
    return _ASSETS[_PAGE].answer(request)


@router.get("/page/{name}")
async def file_of_page(request: Request, name: str) -> Response:
    if name == _PAGE or name not in _ASSETS:
        raise ProblemError(Code.NOT_FOUND, "the page has no such file")
    return _ASSETS[name].answer(request)
