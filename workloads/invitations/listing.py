"""What a user sees of the own invitations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workloads.invitations.database import Database

_COLUMNS = """
invitation_id, invite_code, phone_cipher, key_id, status, created_at, sent_at, delivered_at, accepted_at, expires_at
"""
_ONE = f"SELECT {_COLUMNS} FROM invitations WHERE inviter_user_id = $1 AND invitation_id = $2"  # noqa: S608 - constants
_PAGE = f"""
SELECT {_COLUMNS} FROM invitations WHERE inviter_user_id = $1 AND invitation_id < $2
ORDER BY invitation_id DESC LIMIT $3
"""  # noqa: S608 - constants
_AFTER_ALL = "g"  # ids are hexadecimal

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    rows: Sequence[Row]
    cursor: str | None
    """The next page begins after it; None: there is none."""


async def one(database: Database, user: str, invitation_id: str) -> Row | None:
    found = await database.once(_ONE, user, invitation_id)
    return found[0] if found else None


async def page(database: Database, user: str, *, cursor: str | None, most: int) -> Page:
    """Ids are in the order of time, so the last one of a page is where the next begins, whatever comes meanwhile."""
    found = await database.once(_PAGE, user, cursor or _AFTER_ALL, most + 1)
    shown = found[:most]
    return Page(shown, shown[-1]["invitation_id"] if len(found) > most else None)
