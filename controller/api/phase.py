"""Phases, and the conditions each of them means, by the rules of kstatus and Flux."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from controller.api import times


class Phase(StrEnum):
    PENDING = "Pending"
    PROGRESSING = "Progressing"
    PAUSED = "Paused"
    WAITING = "Waiting"
    PROMOTING = "Promoting"
    BAKING = "Baking"
    HEALTHY = "Healthy"
    ROLLING_BACK = "RollingBack"
    ROLLED_BACK = "RolledBack"
    INVALID = "Invalid"


_STALLED = {Phase.ROLLED_BACK, Phase.INVALID}
_KIND_OF_WAIT = {Phase.PAUSED: "Paused", Phase.ROLLED_BACK: "RevisionRejected"}
"""Words that dashboards look for; `Ready` and `status.reason` say which rejection, or which pause, it is."""


@dataclass(frozen=True)
class Condition:
    """What a condition says; when it last turned is found when it is written."""

    type: str
    status: bool
    reason: str
    message: str


def conditions_of(phase: Phase, reason: str, message: str) -> tuple[Condition, ...]:
    """`Ready` always; `Reconciling` or `Stalled` only while true, and never both."""
    if phase is Phase.HEALTHY:
        return (Condition("Ready", status=True, reason=reason, message=message),)
    kind = "Stalled" if phase in _STALLED else "Reconciling"
    return (
        Condition("Ready", status=False, reason=reason, message=message),
        Condition(kind, status=True, reason=_KIND_OF_WAIT.get(phase, reason), message=message),
    )


def write_conditions(
    wanted: Sequence[Condition], before: Sequence[Mapping[str, Any]], generation: int, now: float
) -> list[dict[str, Any]]:
    """`lastTransitionTime` moves only when `status` does."""
    old = {condition["type"]: condition for condition in before}
    written = []
    for condition in sorted(wanted, key=lambda condition: condition.type):
        status = "True" if condition.status else "False"
        previous = old.get(condition.type)
        since = (
            previous["lastTransitionTime"]
            if previous is not None and previous["status"] == status
            else times.to_seconds_text(now)
        )
        written.append(
            {
                "type": condition.type,
                "status": status,
                "reason": condition.reason,
                "message": condition.message[:1024],
                "observedGeneration": generation,
                "lastTransitionTime": since,
            }
        )
    return written
