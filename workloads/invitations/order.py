"""What is asked for when somebody invites, and what may become of it."""

from dataclasses import dataclass

from workloads.invitations.numbers import Phone
from workloads.invitations.status import Status

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for."""

    inviter: str
    inviter_name: str
    """Cleaned."""
    phone: Phone
    trace_parent: str
    key: str = ""
    """Idempotency key, if there is one."""


@dataclass(frozen=True, slots=True)
class Invited:
    invitation_id: str
    code: str
    used: int
    """Of the user's day, this one included."""
    again: bool = False
    """The same request came before."""
    status: Status = Status.PENDING


@dataclass(frozen=True, slots=True)
class QuotaUsedUp:
    pass


@dataclass(frozen=True, slots=True)
class PhoneTaken:
    pass


@dataclass(frozen=True, slots=True)
class KeyOfAnother:
    """The idempotency key came with another request."""


Answer = Invited | QuotaUsedUp | PhoneTaken | KeyOfAnother


class NoCodeError(Exception):
    """Every code that was drawn is taken."""


def day_of(now: int) -> int:
    """Days since 1970, UTC."""
    return now // _DAY_MS


def day_ends(now: int) -> int:
    return (day_of(now) + 1) * _DAY_MS
