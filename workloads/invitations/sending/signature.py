"""Whether a callback comes from Twilio: https://www.twilio.com/docs/usage/security, "Validating requests".

The signed text is the URL that Twilio was given, then each parameter's name and value, sorted by name. The URL is the
configured public one, never that of the request: behind a proxy they differ, and a Host header is the sender's.
"""

import base64
import hmac
from collections.abc import Sequence
from urllib.parse import urlsplit, urlunsplit

Parameters = Sequence[tuple[str, str]]
_PORTS = {"https": 443, "http": 80}


def signature(token: str, url: str, parameters: Parameters) -> str:
    """Base64 of the HMAC-SHA1. A name that comes more than once counts with each of its different values, sorted."""
    text = url + "".join(name + value for name, value in sorted(set(parameters)))
    return base64.b64encode(hmac.digest(token.encode(), text.encode(), "sha1")).decode()


def is_signed(signed: str, *, token: str, url: str, parameters: Parameters) -> bool:
    """In constant time. Without a token nothing is signed."""
    if not token or not signed:
        return False
    # Twilio is not consistent about a port that goes without saying; its own libraries accept both.
    expected = [signature(token, each, parameters) for each in (url, _with_port(url))]
    return any([hmac.compare_digest(signed.encode(), each.encode()) for each in expected])  # noqa: C419 - all, always


def _with_port(url: str) -> str:
    parts = urlsplit(url)
    if parts.port is not None or parts.scheme not in _PORTS:
        return url
    return urlunsplit(parts._replace(netloc=f"{parts.netloc}:{_PORTS[parts.scheme]}"))
