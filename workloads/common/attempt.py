"""What an attempt at a job is made of: the work, what is around it, and by which rules it is made again."""

import random
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

from workloads.common.backoff import Draw, spread_s
from workloads.common.job import Job
from workloads.common.job_queue import Message
from workloads.common.job_table import Claim


class RefusedError(Exception):
    """Raised by the work: this job cannot succeed, however often it is tried."""


class UnknownKindError(Exception):
    """Raised by the work: this version does not have the job's kind. One that is newer, or older, may have it."""


class LaterError(Exception):
    """Raised by the work: not before so many seconds are over. The attempt does not count."""

    def __init__(self, seconds: float, why: str) -> None:
        super().__init__(why)
        self.seconds = seconds


class Work(Protocol):
    async def __call__(self, job: Job, claim: Claim) -> Mapping[str, Any]:
        """Does the job and answers what its row shall hold. Doing it again must have the same effect as once.

        Cancelling it must end it: the job is somebody else's by then. RefusedError: no use in trying again.
        OutageError: something that all depend on is away; the attempt does not count. LaterError: its time has not
        come. UnknownKindError: left to another version for as long as `Rules.unknown_kind`. Anything else is a failure.
        """
        ...


class Around(Protocol):
    """What is to be around an attempt: a span."""

    def __call__(self, message: Message, job: Job, claim: Claim) -> AbstractContextManager[object]: ...


def nothing_around(message: Message, job: Job, claim: Claim) -> AbstractContextManager[object]:
    del message, job, claim
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Rules:
    """Seconds, but for `max_attempts`."""

    visibility: float
    max_attempts: int
    longest_job: float
    first_pause: float = 1.0
    longest_pause: float = 300.0
    unknown_kind: float = 86400.0
    """From when a job was sent: so long its kind may be unknown before it is dead-lettered."""

    @property
    def beat(self) -> float:
        return self.visibility / 3

    def pause(self, failures: int, draw: Draw = random.random) -> float:
        """Doubles with each failure."""
        whole = min(self.first_pause * 2.0 ** min(max(0, failures - 1), 30), self.longest_pause)
        return spread_s(whole, draw)
