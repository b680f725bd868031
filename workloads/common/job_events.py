"""What happens to jobs, for those who count: a closed union."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Result(StrEnum):
    OK = "ok"
    FAILED = "failed"
    HANDED_BACK = "handed_back"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Received:
    messages: int


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message that names no job."""


@dataclass(frozen=True, slots=True)
class Dequeued:
    """A job's first coming, so many seconds after it was sent."""

    waited: float


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt begins; `key` is the same when it ends."""

    key: int


@dataclass(frozen=True, slots=True)
class Attempted:
    """An attempt is over, so many seconds after its message was received."""

    key: int
    first: bool
    result: Result
    seconds: float


@dataclass(frozen=True, slots=True)
class FirstOutcome:
    """What became of a job's first attempt, once a job; `revision` made it, and may be another than this process's."""

    revision: str
    failed: bool


@dataclass(frozen=True, slots=True)
class NeededMore:
    """A second attempt begins, once a job; `revision` made the first."""

    revision: str


@dataclass(frozen=True, slots=True)
class Ended:
    """COMPLETED, or FAILED and in the dead letter queue; `revision` made the first attempt."""

    revision: str
    completed: bool


@dataclass(frozen=True, slots=True)
class LeaseLost:
    """The work was stopped, as somebody else may have it by now."""


@dataclass(frozen=True, slots=True)
class Fenced:
    """The end of an attempt was refused: somebody else has the job."""


Event = (
    Received | Unreadable | Dequeued | Begun | Attempted | FirstOutcome | NeededMore | Ended | LeaseLost | Fenced
)  # fmt: skip
Watcher = Callable[[Event], None]
