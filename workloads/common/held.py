"""A message whose job a worker has claimed, from then until the attempt's end."""

from dataclasses import dataclass
from enum import Enum

from workloads.common.job_queue import Message
from workloads.common.job_table import Claim


class Cut(Enum):
    """Why an attempt is not to go on."""

    LOST = "lost"
    STOPPED = "stopped"


@dataclass(slots=True)
class Held:
    """A claim and until when it is certainly one's own, by the local clock."""

    message: Message
    claim: Claim
    epoch: int
    deadline: float
    key: int
    received: float


def of(held: Held, **fields: object) -> dict[str, object]:
    row = held.claim.row
    return {"fields": {"job": row.job_id, "attempt": row.attempts, "fence": row.fence, **fields}}
