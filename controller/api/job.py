"""What a step's Job is called, and what has become of it."""

from __future__ import annotations

import hashlib
from enum import StrEnum

KIND = "job"
"""Of the step, and of the effect that makes its Job and watches it."""
DELETION = "jobDeletion"
"""Of the effect that takes it away."""
OWN_ENV = "POINTSMAN_"
"""How the variables begin that tell a Job's containers what they test."""
_MOST_NAME = 63
_DIGITS = 10


class JobState(StrEnum):
    """As the effect's value says it."""

    STARTING = "starting"
    RUNNING = "running"
    BLOCKED = "blocked"
    """It cannot start: no verdict, however long that lasts."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LATE = "late"
    """It had started, and was still running when its time was over."""


VERDICTS = frozenset({JobState.FAILED, JobState.LATE})
"""They reject the version."""


def job_name(release: str, effect: str) -> str:
    """The same over restarts and leaders. `effect`: the id."""
    digest = hashlib.sha256(f"{release}/{effect}".encode()).hexdigest()[:_DIGITS]
    end = f"-{KIND}-{digest}"
    return release[: _MOST_NAME - len(end)].rstrip("-") + end
