"""Where a mail is handed in."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from enum import StrEnum


class TlsMode(StrEnum):
    STARTTLS = "starttls"
    IMPLICIT = "implicit"
    NONE = "none"


@dataclass(frozen=True)
class MailServer:
    host: str
    port: int
    tls: TlsMode
    username: str = ""
    """Empty: no login."""
    password: str = field(default="", repr=False)
    trust: ssl.SSLContext | None = field(default=None, repr=False)
    """Whose certificates are believed; None: those of the image."""
