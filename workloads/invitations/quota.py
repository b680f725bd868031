"""How many invitations a user may send in any 24 hours.

One row a user holds the ids of the last ones; each begins with its time, so ids and times sort alike. A row is what a
statement can wait for and then read anew: counting a user's invitations instead would count what was there before the
wait. A calendar day would let twice as many pass around midnight, whose ever midnight it is.
"""

import json
from dataclasses import dataclass

from workloads.invitations.database import Dialect, Rows

WINDOW_MS = 86_400_000
_TIME_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Window:
    used: int
    frees_at: int
    """When the oldest of them counts no more, milliseconds since 1970."""


def oldest_id(now: int) -> str:
    """What an id is at least whose invitation still counts."""
    return f"{now - WINDOW_MS + 1:0{_TIME_DIGITS}x}"


def window(used: int, oldest: str) -> Window:
    return Window(used, int(oldest[:_TIME_DIGITS], 16) + WINDOW_MS)


# $1 user, $2 invitation, $3 now, $4 the oldest id that counts, $5 limit.
_CONFLICT = "ON CONFLICT (inviter_user_id) DO UPDATE SET newest_at = excluded.newest_at, taken ="
_COUNTING = "FROM unnest(quota_windows.taken) AS each WHERE each >= {since}"
_TAKE_IN_POSTGRESQL = f"""
INSERT INTO quota_windows (inviter_user_id, taken, newest_at) {{values}}
{_CONFLICT} ARRAY(SELECT each {_COUNTING} ORDER BY each) || excluded.taken
WHERE (SELECT COUNT(*) {_COUNTING}) < {{limit}}
RETURNING cardinality(taken) AS used, taken[1] AS oldest
"""
_TAKE_IN_SQLITE = f"""
INSERT INTO quota_windows (inviter_user_id, taken, newest_at) VALUES ($1, json_array($2), $3)
{_CONFLICT} (
  SELECT json_group_array(value) FROM (
    SELECT value FROM json_each(quota_windows.taken) WHERE value >= $4 UNION ALL SELECT $2 ORDER BY 1
  )
)
WHERE (SELECT COUNT(*) FROM json_each(quota_windows.taken) WHERE value >= $4) < $5
RETURNING json_array_length(taken) AS used, json_extract(taken, '$[0]') AS oldest
"""  # noqa: S608 - constants


def taking(*, values: str, since: str, limit: str) -> str:
    """For a statement of PostgreSQL's that takes more than a place in the window."""
    return _TAKE_IN_POSTGRESQL.format(values=values, since=since, limit=limit)


_TAKE = {
    Dialect.POSTGRESQL: taking(values="VALUES ($1, ARRAY[$2], $3)", since="$4", limit="$5"),
    Dialect.SQLITE: _TAKE_IN_SQLITE,
}
_GIVE_BACK = {
    Dialect.POSTGRESQL: "UPDATE quota_windows SET taken = array_remove(taken, $1)",
    Dialect.SQLITE: "UPDATE quota_windows SET taken = "
    "(SELECT json_group_array(value) FROM json_each(quota_windows.taken) WHERE value <> $1)",
}
_OF_INVITER = " WHERE inviter_user_id = (SELECT inviter_user_id FROM invitations WHERE invitation_id = $1)"


async def take(rows: Rows, dialect: Dialect, user: str, invitation_id: str, *, now: int, limit: int) -> Window | None:
    """None: all places are taken."""
    found = await rows.fetch(_TAKE[dialect], user, invitation_id, now, oldest_id(now), limit)
    return window(found[0]["used"], found[0]["oldest"]) if found else None


async def give_back(rows: Rows, dialect: Dialect, invitation_id: str) -> None:
    """Again is fine, and changes nothing. Before the phone is released: whoever invites locks in this order."""
    await rows.execute(_GIVE_BACK[dialect] + _OF_INVITER, invitation_id)


async def of(rows: Rows, user: str, *, now: int, limit: int) -> Window:
    """What the user has taken. `frees_at`: when one more is possible, if none is now."""
    found = await rows.fetch("SELECT taken FROM quota_windows WHERE inviter_user_id = $1", user)
    taken = found[0]["taken"] if found else []
    ids = json.loads(taken) if isinstance(taken, str) else taken
    counting = sorted(each for each in ids if each >= oldest_id(now))
    if not counting:
        return Window(0, now + WINDOW_MS)
    return window(len(counting), counting[max(0, len(counting) - limit)])
