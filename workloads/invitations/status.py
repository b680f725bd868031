"""What an invitation's status may become. It only goes forward, whatever comes late, twice or out of order."""

from enum import StrEnum


class Status(StrEnum):
    PENDING = "PENDING"
    """Stored; its outbox row waits for the relay."""
    QUEUED = "QUEUED"
    SENDING = "SENDING"
    """An attempt was written down; what the provider did with it is not known yet."""
    UNKNOWN = "UNKNOWN"
    """The provider may have taken it or not. Never sent again by itself; a callback or a question settles it."""
    SENT = "SENT"
    """The provider took it."""
    DELIVERED = "DELIVERED"
    UNDELIVERED = "UNDELIVERED"
    """The provider took it and could not deliver it."""
    FAILED = "FAILED"
    """It was never sent and never will be: refused for good, opted out, or no way to send it in time."""
    ACCEPTED = "ACCEPTED"
    EXPIRED = "EXPIRED"


_UNSENT = frozenset({Status.PENDING, Status.QUEUED, Status.SENDING})
_UNDER_WAY = _UNSENT | {Status.UNKNOWN, Status.SENT}
_LIVE = _UNDER_WAY | {Status.DELIVERED, Status.UNDELIVERED}

_BEFORE: dict[Status, frozenset[Status]] = {
    Status.PENDING: frozenset(),
    Status.QUEUED: frozenset({Status.PENDING}),
    Status.SENDING: frozenset({Status.PENDING, Status.QUEUED}),  # a queue may be faster than the relay's own note
    Status.UNKNOWN: frozenset({Status.SENDING}),
    Status.SENT: _UNSENT | {Status.UNKNOWN},
    Status.DELIVERED: _UNDER_WAY,  # a callback may be faster than the provider's own answer
    Status.UNDELIVERED: _UNDER_WAY,
    Status.FAILED: _UNSENT | {Status.UNKNOWN},
    Status.ACCEPTED: _LIVE,  # who was invited may be faster than anything else
    Status.EXPIRED: _LIVE,
}


def before(status: Status) -> frozenset[Status]:
    """What an invitation's status may be when it becomes `status`."""
    return _BEFORE[status]


def may_become(status: Status) -> str:
    """The same as a condition of SQL, for `UPDATE … WHERE …`; needs no parameters."""
    names = ", ".join(f"'{each}'" for each in sorted(_BEFORE[status]))
    return f"status IN ({names})"
