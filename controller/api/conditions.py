"""What a status means to those who only know conditions, by the rules of kstatus and Flux."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.api import times
from controller.api.git_origin import GIT
from controller.api.phase import Phase
from controller.api.status import Status

_STALLED = {Phase.ROLLED_BACK, Phase.INVALID}
_KIND_OF_WAIT = {Phase.PAUSED: "Paused", Phase.ROLLED_BACK: "RevisionRejected"}
"""Words that dashboards look for; `Ready` and `status.reason` say which rejection, or which pause, it is."""

_NONE_YET = "no version is deployed yet"
_HOW_IT_CAME = {
    "Proven": "the version was shown to be no worse than the one before it",
    "Unproven": "the version was promoted without proof that it is no worse",
    "NoMetrics": "the Release names no metrics to compare by",
    "LimitsKept": "the version kept to its limits; there was no earlier version to compare it with",
    "FirstDeployment": "there was no version before it to compare with",
    "PromotedByPerson": "a person ended the comparison",
    "RolledBackByPerson": "a person rolled back to it",
}
_BY_EVIDENCE = {"Proven", "LimitsKept"}


@dataclass(frozen=True)
class Condition:
    """What a condition says; when it last turned is found when it is written."""

    type: str
    status: bool
    reason: str
    message: str


def conditions_of(status: Status) -> tuple[Condition, ...]:
    """`Ready`, `Available` and `Judged` always; `Reconciling` or `Stalled` only while true, and never both.
    `GitWritePending` only while a rollback is not in git yet.
    """
    return (*_progress(status), _available(status), _judged(status), *_git_write(status))


def _progress(status: Status) -> tuple[Condition, ...]:
    phase, reason, message = status.phase, status.reason, status.message
    if phase is Phase.HEALTHY:
        return (Condition("Ready", status=True, reason=reason, message=message),)
    kind = "Stalled" if phase in _STALLED else "Reconciling"
    return (
        Condition("Ready", status=False, reason=reason, message=message),
        Condition(kind, status=True, reason=_KIND_OF_WAIT.get(phase, reason), message=message),
    )


def _available(status: Status) -> Condition:
    """Says of who has most of the work what `Available` says of a Deployment."""

    def said(reason: str, message: str, *, available: bool) -> Condition:
        return Condition("Available", status=available, reason=reason, message=message)

    if not status.stable:
        return said("NoStable", _NONE_YET, available=False)
    if status.ready_replicas:
        return said("StableServes", f"{status.serves} serves", available=True)
    if not status.replicas:
        return said("ScaledToZero", f"{status.serves} has 0 replicas", available=True)
    return said("StableUnready", f"no pod of {status.serves} serves", available=False)


def _judged(status: Status) -> Condition:
    """Says of stable whether it was compared before it got all of the work."""
    if not status.stable:
        return Condition("Judged", status=False, reason="NoStable", message=_NONE_YET)
    how = _HOW_IT_CAME.get(status.judged, "how it was promoted is not recorded")
    reason = status.judged or "Unknown"
    return Condition("Judged", status=reason in _BY_EVIDENCE, reason=reason, message=f"{status.stable}: {how}")


def _git_write(status: Status) -> tuple[Condition, ...]:
    last = status.last_rollback
    written = None if last is None else last.git
    if any(item.effect.kind == GIT for item in status.owed):
        what = "retry" if written is not None and written.retried else "rollback"
        failed = "" if written is None else written.note
        reason, message = ("Failing", failed) if failed else ("Owed", f"the {what} is to be written to git")
    elif last is not None and written is not None and written.branch and _awaits_merge(status, last.revision):
        reason, message = "AwaitingMerge", written.sentence
    else:
        return ()
    return (Condition("GitWritePending", status=True, reason=reason, message=message),)


def _awaits_merge(status: Status, revision: str) -> bool:
    """Of the pull request about this version: a merged one brings another version to the spec."""
    written = None if status.last_rollback is None else status.last_rollback.git
    if written is not None and written.retried:
        return revision not in (status.canary, status.stable)
    return status.phase is Phase.ROLLED_BACK


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
