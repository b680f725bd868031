"""Moments as they stand in objects: RFC 3339, UTC, microseconds; in memory seconds since the epoch."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache


@lru_cache(maxsize=4096)  # a status has a dozen moments, and nearly all stay as they were
def to_text(moment: float) -> str:
    return to_text_of(datetime.fromtimestamp(moment, UTC))


def to_text_of(moment: datetime) -> str:
    """`moment` has a time zone; a float would lose the last microsecond of it."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def to_seconds_text(moment: float) -> str:
    """Whole seconds, as metav1.Time has them."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").removesuffix("+00:00") + "Z"


def from_text(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def from_rfc3339(text: str) -> float:
    """What a person has written. Without a time zone it would mean another moment on each machine: ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.timestamp()


def as_datetime(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC)
