"""A real SMTP server on loopback: plain, with STARTTLS, or with TLS from the first byte; with logins or without."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword

USER, PASSWORD = "pointsman", "s3cret-of-the-relay"


@dataclass
class Mailbox:
    port: int = 0
    refuses: frozenset[str] = frozenset()
    """Recipients it does not know."""
    answers: list[str] = field(default_factory=list)
    """To the next mails; afterwards it takes them."""
    mails: list[EmailMessage] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del server, session, options
        if address in self.refuses:
            return "550 5.1.1 sesame: no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:  # noqa: N802 - as above
        del session
        if self.answers:
            return self.answers.pop(0)
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=default)
        mail["X-Envelope-To"] = ", ".join(envelope.rcpt_tos)
        self.mails.append(mail)
        self.encrypted.append(server.transport.get_extra_info("sslcontext") is not None)
        return "250 OK"


def _login(server: Any, session: Any, envelope: Any, mechanism: str, auth_data: Any) -> AuthResult:
    del server, session, envelope, mechanism
    known = isinstance(auth_data, LoginPassword) and auth_data == LoginPassword(USER.encode(), PASSWORD.encode())
    return AuthResult(success=known, handled=False)


@contextlib.asynccontextmanager
async def mail_server(
    *, starttls: ssl.SSLContext | None = None, implicit: ssl.SSLContext | None = None, logins: bool = False, **box: Any
) -> AsyncIterator[Mailbox]:
    mailbox = Mailbox(**box)
    loop = asyncio.get_running_loop()

    def protocol() -> SMTP:
        options: dict[str, Any] = {"hostname": "relay", "tls_context": starttls, "require_starttls": bool(starttls)}
        if logins:
            # aiosmtpd knows no TLS but STARTTLS, and warns of logins without that
            options |= {
                "authenticator": _login,
                "auth_require_tls": implicit is None,
                "auth_required": implicit is None,
            }
        return SMTP(mailbox, loop=loop, **options)

    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=implicit)
    mailbox.port = server.sockets[0].getsockname()[1]
    try:
        yield mailbox
    finally:
        server.close()
