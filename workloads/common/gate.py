"""Whether a consumer may poll its queue now, and for how many messages.

A canary may only take its share, and stable sometimes has to leave a message to it. What decides that is behind this
port; a consumer that nobody releases uses `Open`.
"""

from __future__ import annotations

from typing import Protocol


class Permit(Protocol):
    """For one poll. It must be settled, whatever becomes of the poll."""

    @property
    def messages(self) -> int:
        """How many messages may be asked for: 1 or more."""
        ...

    @property
    def wait_s(self) -> int | None:
        """Seconds that the poll may last at most; None: the consumer's own."""
        ...

    async def settle(self, received: int) -> bool:
        """`received` messages came, 0 also for a poll that failed. What was not used can be used by another poll.

        False: the share was taken away while the poll was open. The messages have to be handed back (visibility 0)
        and count for nobody.
        """
        ...

    @property
    def epoch(self) -> int:
        """Of the share that it was given under; see `Gate.is_stopped`."""
        ...


class Gate(Protocol):
    async def permit(self, wanted: int) -> Permit:
        """Waits until a poll for 1 to `wanted` messages may be made. Cancelling it gives nothing away."""
        ...

    def is_stopped(self, epoch: int) -> bool:
        """Whether what was taken in that epoch is to be stopped now, and not only no more taken."""
        ...

    @property
    def is_canary(self) -> bool:
        """Then a failure may be the version's: it does not count against the job, which others may do."""
        ...

    @property
    def is_on_trial(self) -> bool:
        """The same of a version that has all of the work and may lose it: others may do the job later."""
        ...


class OpenPermit:
    epoch = 0
    wait_s = None

    def __init__(self, messages: int) -> None:
        self.messages = messages

    async def settle(self, received: int) -> bool:
        del received
        return True


class Open:
    """Nobody shares the queue."""

    is_canary = False
    is_on_trial = False

    async def permit(self, wanted: int) -> OpenPermit:
        return OpenPermit(wanted)

    def is_stopped(self, epoch: int) -> bool:
        del epoch
        return False
