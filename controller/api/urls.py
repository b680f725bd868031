"""Addresses of HTTP servers, as people write them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from controller.api.reading import SpecError
from controller.api.shapes import Custom, a_string

MOST_URL = 1024
_SCHEMA: dict[str, Any] = {
    "type": "string",
    "pattern": r"^https?://[^\s/?#@]+(/[^\s#]*)?(\?[^\s#]*)?$",
    "minLength": 8,
    "maxLength": MOST_URL,
}


def parse_http_url(url: str, path: str) -> str:
    """Raises SpecError. A user's name or a password in it would stand in the status."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        sound = False
    if not sound or len(url) > MOST_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise SpecError(path, "is not an http or https url such as http://gate.qa/check")
    if parts.username is not None or parts.password is not None:
        raise SpecError(path, "holds credentials: use tokenSecretRef")
    if parts.fragment:
        raise SpecError(path, "has a fragment, which is never sent; leave it out")
    return url


HTTP_URL = Custom(_SCHEMA, lambda value, place: parse_http_url(a_string(value, place), place.path))
