"""One mail to an SMTP server that a tenant has named.

The server's words are repeated nowhere: what answers at that address may be another service.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP

import aiosmtplib

from controller.api.mail import MailServer, TlsMode
from controller.effects.carrier import EffectFailedError
from controller.outward.addresses import Addresses
from controller.outward.tls import tls
from controller.ports import TargetError

_TIMEOUT_S = 10.0
_CONNECT_S = 2.0
_ADDRESSES_TRIED = 3


async def mail(addresses: Addresses, server: MailServer, message: EmailMessage) -> None:
    """Once the server has taken it for all recipients; otherwise none of them gets it. Raises EffectFailedError."""
    try:
        found = await addresses.resolve(server.host, server.port)
        connection = await _connect(server, found[:_ADDRESSES_TRIED])
    except TargetError as error:
        raise EffectFailedError(str(error)) from error
    try:
        await _hand_in(connection, server, message)
    except aiosmtplib.SMTPResponseException as error:
        raise EffectFailedError(f"{server.host} answered {error.code} and did not take the mail") from error
    except (aiosmtplib.SMTPException, OSError) as error:
        raise EffectFailedError(f"{server.host} did not take the mail: {_cause(error)}") from error


async def _connect(server: MailServer, addresses: Sequence[str]) -> socket.socket:
    """To an address that was checked, under the name that the certificate has to have. Raises EffectFailedError."""
    problem: Exception = OSError("it has no address")
    for address in addresses:
        connection = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        connection.setblocking(False)  # noqa: FBT003 - socket's own signature
        try:
            async with asyncio.timeout(_CONNECT_S if len(addresses) > 1 else _TIMEOUT_S):
                await asyncio.get_running_loop().sock_connect(connection, (address, server.port))
        except (OSError, TimeoutError) as error:
            connection.close()
            problem = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise EffectFailedError(f"{server.host} cannot be reached: {_cause(problem)}") from problem


async def _hand_in(connection: socket.socket, server: MailServer, message: EmailMessage) -> None:
    address = connection.getsockname()[0]
    smtp = aiosmtplib.SMTP(
        hostname=server.host,
        sock=connection,
        use_tls=server.tls is TlsMode.IMPLICIT,
        start_tls=False,
        tls_context=server.trust or tls(),
        timeout=_TIMEOUT_S,
        # RFC 5321, 4.1.3: who has no name says its address
        local_hostname=f"[IPv6:{address}]" if ":" in address else f"[{address}]",
    )
    try:
        await smtp.connect()
        await smtp.ehlo()
        if server.tls is TlsMode.STARTTLS:
            if not smtp.supports_extension("starttls"):
                raise EffectFailedError(
                    f"{server.host} offers no STARTTLS on port {server.port}; correct port or tls, nothing was sent"
                )
            await smtp.starttls(server_hostname=server.host, tls_context=server.trust or tls())
            await smtp.ehlo()
        if server.username:
            await _log_in(smtp, server)
        await _send(smtp, server, message)
    finally:
        smtp.close()


async def _log_in(smtp: aiosmtplib.SMTP, server: MailServer) -> None:
    try:
        await smtp.login(server.username, server.password)
    except aiosmtplib.SMTPAuthenticationError as error:
        raise EffectFailedError(
            f"{server.host} answered {error.code} to the login of {server.username}; correct username or its Secret"
        ) from error
    except aiosmtplib.SMTPNotSupported as error:
        raise EffectFailedError(f"{server.host} offers no login; leave out username and passwordSecretRef") from error


async def _send(smtp: aiosmtplib.SMTP, server: MailServer, message: EmailMessage) -> None:
    await smtp.mail(message["From"].addresses[0].addr_spec)
    for recipient in message["To"].addresses:
        try:
            await smtp.rcpt(recipient.addr_spec)
        except aiosmtplib.SMTPRecipientRefused as error:
            raise EffectFailedError(
                f"{server.host} answered {error.code} to recipient {recipient.addr_spec}; nobody got the mail"
            ) from error
    await smtp.data(message.as_bytes(policy=SMTP))


def _cause(error: Exception) -> str:
    """Without anything that the server has said."""
    if isinstance(error, aiosmtplib.SMTPConnectError) and isinstance(error.__cause__, OSError):
        error = error.__cause__
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not believed: {error.verify_message}"
        case TimeoutError() | aiosmtplib.SMTPTimeoutError():
            return "no answer in time"
        case aiosmtplib.SMTPServerDisconnected():
            return "it ended the connection, or does not speak SMTP"
        case ssl.SSLError():
            return "it does not speak TLS here; correct port or tls"
        case OSError():
            return error.strerror or type(error).__name__
        case _:
            return type(error).__name__
