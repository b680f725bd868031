"""What is known of a job: one item of the table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Self

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

_READ = TypeDeserializer()
_WRITE = TypeSerializer()
_OWN = frozenset(
    {
        "job_id", "state", "fence", "attempts", "spared", "lease_owner", "lease_until", "claim_nonce", "version",
        "first_version", "prior_state", "failed_by", "created_at", "started_at", "completed_at", "last_error",
        "purge_at", "dead_lettered_at", "redriven", "result", "body_sha256",
    }
)  # fmt: skip


class State(StrEnum):
    PENDING = "PENDING"
    """Known, and never tried."""
    PROCESSING = "PROCESSING"
    """Somebody's until `lease_until`, and anybody's from then on."""
    RETRY = "RETRY"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Row:
    """Times are milliseconds since 1970, but `purge_at`, which is DynamoDB's TTL and in seconds."""

    job_id: str
    state: State
    fence: int = 0
    attempts: int = 0
    spared: int = 0
    """Attempts among them that do not count against the limit: those of canaries, and those cut off."""
    lease_owner: str = ""
    lease_until: int = 0
    claim_nonce: str = ""
    version: str = ""
    """The revision that tried last."""
    first_version: str = ""
    """The revision that made the first attempt: the job is counted for it, whoever ends it."""
    prior_state: str = ""
    """The state that the last claim found: PROCESSING means that the attempt before came to no end."""
    failed_by: Mapping[str, int] = field(default_factory=dict)
    created_at: int = 0
    started_at: int = 0
    completed_at: int = 0
    last_error: str = ""
    purge_at: int = 0
    dead_lettered_at: int = 0
    redriven: int = 0
    body_sha256: str = ""
    """Of the job's body; "" in rows of 0.1.0."""
    result: Mapping[str, Any] = field(default_factory=dict)
    """What the work brought. It cannot touch the row's own attributes, whatever its keys are."""

    def is_of(self, digest: str) -> bool:
        """Whether it is the row of a job with this body, as far as is known."""
        return not (self.body_sha256 and digest) or self.body_sha256 == digest

    @property
    def counted(self) -> int:
        """Attempts that count against the limit."""
        return self.attempts - self.spared

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Self:
        """From an item as boto3's client answers it."""
        plain = {name: _plain(_READ.deserialize(value)) for name, value in item.items()}
        own = {name: value for name, value in plain.items() if name in _OWN}
        own["state"] = State(own["state"])
        # 0.1.0 kept each key of the result as an attribute of its own.
        own.setdefault("result", {name: value for name, value in plain.items() if name not in _OWN})
        return cls(**own)


def typed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as boto3's client takes them."""
    return {name: _WRITE.serialize(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    match value:
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case list():
            return [_plain(each) for each in value]
        case _:
            return value
