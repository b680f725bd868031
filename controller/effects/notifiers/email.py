"""`email`: a mail by SMTP. Its Message-ID is made of the notification's id, so that each try has the same."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Mapping
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any, ClassVar

from controller.api import times
from controller.api.fields import Absent, Rule, field, record
from controller.api.mail import MailServer, TlsMode
from controller.api.notice import Notification
from controller.api.secret import SecretRef
from controller.api.shapes import Integer, List, Record, Text, Word
from controller.effects.carrier import EffectFailedError
from controller.outward.tls import tls_of
from controller.ports import NotifierContext

KIND = "email"
EXAMPLE: dict[str, Any] = {
    "host": "smtp.example.com",
    "from": "pointsman@example.com",
    "to": ["team@example.com"],
    "username": "pointsman",
    "passwordSecretRef": {"name": "smtp", "key": "password"},
}
_PORTS = {TlsMode.STARTTLS: 587, TlsMode.IMPLICIT: 465, TlsMode.NONE: 25}
_MOST_SUBJECT = 200
_PASSWORD, _CERTIFICATES = "password", "certificates"
_ADDRESS = Text(
    254, 3, r"^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[a-zA-Z0-9]([a-zA-Z0-9.-]{0,188}[a-zA-Z0-9])?$",
    looks="an address such as team@example.com",
)  # fmt: skip


@record(
    "Send a mail by SMTP.",
    rules=[
        Rule(
            "passwordSecretRef needs tls: starttls or implicit, or anybody on the way reads the password",
            cel="!has(self.passwordSecretRef) || self.tls != 'none'",
            test=lambda one: one.password_secret is None or one.tls is not TlsMode.NONE,
        ),
        Rule(
            "caSecretRef needs tls: starttls or implicit, with none no certificate is looked at",
            cel="!has(self.caSecretRef) || self.tls != 'none'",
            test=lambda one: one.ca_secret is None or one.tls is not TlsMode.NONE,
        ),
        Rule(
            "username and passwordSecretRef go together",
            cel="has(self.username) == has(self.passwordSecretRef)",
            test=lambda one: bool(one.username) is (one.password_secret is not None),
        ),
    ],
)
class Config:
    as_they_are: ClassVar[tuple[str, ...]] = (_CERTIFICATES,)
    host: str = field(
        Text(253, 1, r"^[a-zA-Z0-9]([-a-zA-Z0-9.:]*[a-zA-Z0-9])?$", looks="a host name"),
        "The SMTP server. Loopback, link-local and the API server are not called.",
    )
    sender: str = field(_ADDRESS, "The sender's address.", key="from")
    to: tuple[str, ...] = field(List(_ADDRESS, 10, 1, kind="set"), "The recipients' addresses.")
    port: int = field(
        Integer(1, 65535), "Default: 587 with starttls, 465 with implicit, 25 with none.", default=Absent(0)
    )
    tls: TlsMode = field(
        Word(tuple(str(mode) for mode in TlsMode)),
        "starttls: the connection is encrypted before anything is sent, or nothing is sent. implicit: TLS from the "
        "first byte. none: for a relay inside the cluster.",
        default=str(TlsMode.STARTTLS),
        convert=TlsMode,
    )
    username: str = field(Text(256, 1, r"^[!-~]+$", looks="a user's name"), "Who logs in.", default=Absent(""))
    password_secret: SecretRef | None = field(
        Record(SecretRef),
        "The user's password, in a Secret of the Release's namespace that the operator may read.",
        default=Absent(),
        key="passwordSecretRef",
    )
    ca_secret: SecretRef | None = field(
        Record(SecretRef),
        "Certificates, in PEM, that are believed besides the usual ones, in a Secret of the Release's namespace that "
        "the operator may read.",
        default=Absent(),
        key="caSecretRef",
    )

    def secrets(self) -> Mapping[str, SecretRef]:
        named = {_PASSWORD: self.password_secret, _CERTIFICATES: self.ca_secret}
        return {name: reference for name, reference in named.items() if reference is not None}


def create(config: Config, secrets: Mapping[str, str], context: NotifierContext) -> Email:
    """Raises EffectFailedError for a Secret without certificates."""
    server = MailServer(
        config.host,
        config.port or _PORTS[config.tls],
        config.tls,
        config.username,
        secrets.get(_PASSWORD, ""),
        _trust(config.ca_secret, secrets),
    )
    return Email(config, server, context)


def _trust(reference: SecretRef | None, secrets: Mapping[str, str]) -> ssl.SSLContext | None:
    if reference is None:
        return None
    try:
        return tls_of(secrets[_CERTIFICATES])
    except ValueError as error:
        raise EffectFailedError(f"key {reference.key} of Secret {reference.name} {error}") from error


class Email:
    def __init__(self, config: Config, server: MailServer, context: NotifierContext) -> None:
        self._config = config
        self._server = server
        self._context = context

    async def send(self, notification: Notification) -> None:
        await self._context.mail(self._server, _message(self._config, notification))


def _message(config: Config, notification: Notification) -> EmailMessage:
    notice = notification.notice
    message = EmailMessage(policy=SMTP)
    message["Subject"] = notification.title[:_MOST_SUBJECT]
    message["From"] = Address("Pointsman", addr_spec=config.sender)
    message["To"] = [Address(addr_spec=address) for address in config.to]
    message["Date"] = format_datetime(times.as_datetime(times.from_text(notice.at)))
    whose = f"{notification.namespace}/{notification.release}/{notification.id}"
    message["Message-ID"] = f"<{hashlib.sha256(whose.encode()).hexdigest()}@{config.sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Pointsman-Id"] = notification.id
    commands = ["", "Next:", *(f"  {line}" for line in notification.next)] if notification.next else []
    message.set_content("\n".join([notification.title, "", *notification.lines, *commands, ""]))
    return message
