"""Sends nothing: for development, demonstrations and tests. The end of a number decides what becomes of it."""

import logging
import uuid
from collections import deque

from workloads.invitations.sending.port import (
    Accepted,
    Delivery,
    Fault,
    Outcome,
    Refused,
    Sms,
    Traced,
    Unknown,
    Untraced,
)

log = logging.getLogger(__name__)

SILENT_END = "0003"
"""Accepted, but no answer comes."""
ENDS: dict[str, Outcome] = {
    "0001": Refused(Fault.RECIPIENT, "sandbox_refused", "the sandbox refuses numbers that end in 0001"),
    "0002": Refused(Fault.PROVIDER, "sandbox_busy", "the sandbox is busy for numbers that end in 0002"),
    "0004": Unknown("the sandbox loses what goes to numbers that end in 0004"),
}
_KEPT = 1000


class Sandbox:
    name = "sandbox"

    def __init__(self) -> None:
        self.sent: deque[tuple[str, Sms]] = deque(maxlen=_KEPT)
        """The last ones, with their message ids."""

    async def send(self, message: Sms) -> Outcome:
        end = message.to[-len(SILENT_END) :]
        if end in ENDS:
            return ENDS[end]
        message_id = f"sandbox-{uuid.uuid4()}"
        self.sent.append((message_id, message))
        log.info("a message went to the sandbox", extra={"fields": {"invitation": message.invitation_id}})
        if end == SILENT_END:
            return Unknown("the sandbox accepts what goes to numbers that end in 0003, and does not answer")
        return Accepted(message_id)

    async def find(self, message: Sms, *, since: float) -> Traced | Untraced:
        del since
        for message_id, sent in self.sent:
            if sent.invitation_id == message.invitation_id:
                return Traced(message_id, Delivery.SENT)
        return Untraced("this process did not send it")
