"""What is asked for when somebody invites, and what may become of it."""

from dataclasses import dataclass

from workloads.invitations.numbers import Phone
from workloads.invitations.quota import Window
from workloads.invitations.status import Status


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
    window: Window
    """Of the user's last 24 hours, this one included."""
    again: bool = False
    """The same request came before."""
    status: Status = Status.PENDING


@dataclass(frozen=True, slots=True)
class QuotaUsedUp:
    window: Window


@dataclass(frozen=True, slots=True)
class PhoneTaken:
    until: int
    """Milliseconds since 1970."""


@dataclass(frozen=True, slots=True)
class KeyOfAnother:
    """The idempotency key came with another request."""


Answer = Invited | QuotaUsedUp | PhoneTaken | KeyOfAnother


class NoCodeError(Exception):
    """Every code that was drawn is taken."""
