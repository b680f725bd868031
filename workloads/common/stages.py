"""The one seam that tests have in the running protocol: how far a job has come.

A worker that dies must leave nothing behind that another cannot pick up, wherever it dies. To try that, a test's
worker is told of every stage and kills itself, or stands still, in some. Production passes `unobserved`.
"""

from collections.abc import Callable
from enum import StrEnum


class Stage(StrEnum):
    RECEIVED = "received"
    CLAIMED = "claimed"
    WORKED = "worked"
    """The work is done in memory; nothing of it is to be seen outside."""
    STORED = "stored"
    FINISHED = "finished"
    DELETED = "deleted"


Observer = Callable[[Stage, str], None]
"""Given the stage and the job's id."""


def unobserved(stage: Stage, job_id: str) -> None:
    del stage, job_id
