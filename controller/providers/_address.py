"""Where a source is, how long it may take, and who asks: what several kinds have."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from controller.api.fields import Place, Rule
from controller.api.reading import DURATION_SCHEMA, parse_duration
from controller.api.shapes import Custom, Duration, a_string

_MIN_TIMEOUT, _MAX_TIMEOUT = "100ms", "1m"
_MAX_URL = 500


def _timeout(value: Any, place: Place) -> float:
    seconds = float(Duration().parse(value, place))
    if not parse_duration(_MIN_TIMEOUT, "") <= seconds <= parse_duration(_MAX_TIMEOUT, ""):
        raise place.refuse(f"{value} is not between {_MIN_TIMEOUT} and {_MAX_TIMEOUT}")
    return seconds


def _url(value: Any, place: Place) -> str:
    url = a_string(value, place).rstrip("/")
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        sound = False
    if not sound or len(url) > _MAX_URL or not url.isprintable() or " " in url:
        raise place.refuse("is not an address such as http://metrics.monitoring:8086")
    if parts.username is not None or parts.query or parts.fragment:
        raise place.refuse("holds more than an address; credentials belong in a Secret")
    return url


ADDRESS = Custom({"type": "string", "pattern": r"^https?://[^\s/@?#]+(/[^\s?#@]*)?$", "maxLength": _MAX_URL}, _url)
TIMEOUT = Custom(DURATION_SCHEMA, _timeout)
TIMEOUT_SAYS = "The longest one query may take, from connecting to the last byte: 100ms to 1m."

WHOLE_LOGIN = Rule(
    "username and passwordSecretRef go together: set both or neither",
    cel="has(self.username) == has(self.passwordSecretRef)",
    test=lambda config: bool(config.username) == (config.password_secret is not None),
    at="username",
    says="and passwordSecretRef go together: set both or neither",
)
"""Of a record with the fields `username` and `password_secret`."""


def sendable(secret: str) -> str:
    """As a header takes it: `kubectl create secret --from-file` keeps a file's last newline. Raises ValueError."""
    text = secret.strip()
    if not text or not text.isascii() or not text.isprintable():
        raise ValueError("cannot be sent in a header")
    return text
