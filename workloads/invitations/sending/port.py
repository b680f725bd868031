"""What is asked of whoever delivers text messages, and all that may come of it.

No provider takes an idempotency key, so what became of a call matters more than that it was made. Only a refusal is
certain that nothing was sent; a call whose answer never came may have sent the message, and is not made again.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Sms:
    invitation_id: str
    to: str
    """E.164."""
    text: str
    mark: str
    """What stands in this text and in no other: the invitation's code. A message is found again by it."""


class Fault(Enum):
    """Whose fault a refusal is, which says what may help."""

    RECIPIENT = "recipient"
    """This number: it is refused for good."""
    SETUP = "setup"
    """Our account, credentials or settings: a person has to change something."""
    PROVIDER = "provider"
    """It is away or busy: later."""


@dataclass(frozen=True, slots=True)
class Accepted:
    message_id: str
    """The provider's."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was sent."""

    fault: Fault
    code: str
    why: str
    of_one_number: bool = False
    """Others may be sent to: it says nothing of how the provider is, or of our account as a whole."""

    @property
    def permanent(self) -> bool:
        return self.fault is Fault.RECIPIENT


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have been sent."""

    why: str


Outcome = Accepted | Refused | Unknown


class Delivery(StrEnum):
    """How far an accepted message has come."""

    SENT = "SENT"
    DELIVERED = "DELIVERED"
    UNDELIVERED = "UNDELIVERED"


@dataclass(frozen=True, slots=True)
class Traced:
    """The provider has the message."""

    message_id: str
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class Untraced:
    """It is not known to have it, which is no proof that it was not sent."""

    why: str


class Provider(Protocol):
    @property
    def name(self) -> str: ...

    async def send(self, message: Sms) -> Outcome:
        """One call, within bounded time. What can go wrong is an outcome; nothing is raised but defects."""
        ...

    async def find(self, message: Sms, *, since: float) -> Traced | Untraced:
        """Looks for a message that was handed over at `since` (seconds since 1970) and whose answer never came."""
        ...
