"""An invitation as its row has it, and the message that is made of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workloads.invitations import optouts
from workloads.invitations.database import Dialect, Rows
from workloads.invitations.message import friends_url, text
from workloads.invitations.privacy import Privacy, Sealed, SealedError
from workloads.invitations.sending.port import Sms
from workloads.invitations.status import Status

COLUMNS = (
    "i.invitation_id, i.inviter_name, i.invite_code, i.phone_hash, i.phone_cipher, i.key_id, i.status, i.expires_at"
)


class UnreadableError(Exception):
    """There is no number to send to any more, or its key is missing from the settings."""


@dataclass(frozen=True, slots=True)
class Invitation:
    invitation_id: str
    inviter_name: str
    invite_code: str
    phone_hash: bytes | None
    phone_cipher: bytes | None
    key_id: str | None
    status: Status
    expires_at: int
    """Milliseconds since 1970."""


async def lock(rows: Rows, invitation_id: str, dialect: Dialect) -> Invitation | None:
    """Nobody else changes it until the transaction ends. Before its attempts, so that no two wait for each other."""
    # SQLite has one transaction at a time.
    locked = " FOR UPDATE" if dialect is Dialect.POSTGRESQL else ""
    found = await rows.fetch(
        f"SELECT {COLUMNS} FROM invitations i WHERE i.invitation_id = $1{locked}",  # noqa: S608
        invitation_id,
    )
    return of(found[0]) if found else None


def of(row: Mapping[str, Any]) -> Invitation:
    return Invitation(
        invitation_id=row["invitation_id"],
        inviter_name=row["inviter_name"],
        invite_code=row["invite_code"],
        phone_hash=row["phone_hash"],
        phone_cipher=row["phone_cipher"],
        key_id=row["key_id"],
        status=Status(row["status"]),
        expires_at=row["expires_at"],
    )


@dataclass(frozen=True, slots=True)
class Wording:
    privacy: Privacy
    app_name: str
    public_url: str

    def sms(self, invitation: Invitation) -> Sms:
        """Raises UnreadableError."""
        if invitation.phone_cipher is None or invitation.key_id is None:
            raise UnreadableError("its number is purged")
        sealed = Sealed(invitation.key_id, bytes(invitation.phone_cipher))
        try:
            number = self.privacy.open(sealed, invitation.invitation_id)
        except SealedError as problem:
            raise UnreadableError(str(problem)) from None
        secret = optouts.secret(self.privacy, invitation.invitation_id)
        url = friends_url(self.public_url, invitation.invite_code, secret=secret)
        return Sms(
            invitation_id=invitation.invitation_id,
            to=number,
            text=text(inviter=invitation.inviter_name, app=self.app_name, url=url),
            mark=invitation.invite_code,
        )
