"""What a ReleaseRepository's status says, in the manner of kstatus. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controller.api.conditions import Condition, write_conditions
from controller.api.text import one_line
from controller.sync.applying import Report
from controller.sync.inventory import UNKNOWN, Inventory, from_lines, to_lines
from controller.sync.manifests import Failure, ObjectId

_MOST_SHOWN = 50
_MOST_MESSAGE = 800
_MOST_WHAT = 300
_SHORT = 10


@dataclass(frozen=True)
class Status:
    observed: str = ""
    applied: str = ""
    handled: str = ""
    failed: int = 0
    failures: tuple[Failure, ...] = ()
    inventory: Inventory = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()


def from_raw(raw: Mapping[str, Any]) -> Status:
    conditions = tuple(
        Condition(
            str(one.get("type", "")),
            status=one.get("status") == "True",
            reason=str(one.get("reason", "")),
            message=str(one.get("message", "")),
        )
        for one in raw.get("conditions") or ()
        if isinstance(one, Mapping)
    )
    failures = tuple(
        Failure(str(one.get("what", "")), str(one.get("message", "")))
        for one in raw.get("failures") or ()
        if isinstance(one, Mapping)
    )
    return Status(
        observed=str(raw.get("observedCommit", "")),
        applied=str(raw.get("appliedCommit", "")),
        handled=str(raw.get("lastHandledReconcileAt", "")),
        failed=int(raw.get("failed") or 0),
        failures=failures,
        inventory=from_lines(raw.get("inventory") or ()),
        conditions=conditions,
    )


def to_raw(status: Status, before: Mapping[str, Any], generation: int, now: float) -> dict[str, Any]:
    raw: dict[str, Any] = {
        "observedGeneration": generation,
        "objects": sum(entry.digest != UNKNOWN for entry in status.inventory.values()),
        "failed": status.failed,
        "failures": [{"what": one.what, "message": one.message} for one in status.failures],
        "inventory": to_lines(status.inventory),
        "conditions": write_conditions(status.conditions, before.get("conditions") or (), generation, now),
    }
    texts = {
        "observedCommit": status.observed,
        "appliedCommit": status.applied,
        "lastHandledReconcileAt": status.handled,
    }
    return raw | {key: text for key, text in texts.items() if text}


def shown(failures: Sequence[Failure]) -> tuple[Failure, ...]:
    """The first of them; what they say came from outside."""
    return tuple(
        Failure(one_line(one.what, _MOST_WHAT), one_line(one.message, _MOST_MESSAGE)) for one in failures[:_MOST_SHOWN]
    )


def ready(reason: str, message: str) -> tuple[Condition, ...]:
    return (Condition("Ready", status=True, reason=reason, message=message),)


def working(reason: str, message: str) -> tuple[Condition, ...]:
    """It goes on by itself."""
    return (
        Condition("Ready", status=False, reason=reason, message=message),
        Condition("Reconciling", status=True, reason=reason, message=message),
    )


def stalled(reason: str, message: str) -> tuple[Condition, ...]:
    """Somebody has to do something."""
    return (
        Condition("Ready", status=False, reason=reason, message=message),
        Condition("Stalled", status=True, reason=reason, message=message),
    )


def short(commit: str) -> str:
    return commit[:_SHORT]


def said_of(report: Report, commit: str, failures: Sequence[Failure]) -> tuple[Condition, ...]:
    if report.unfinished:
        return working("Applying", f"commit {short(commit)}: {report.applied} objects applied so far")
    if report.awaited:
        names = ", ".join(map(str, list(report.awaited)[:5]))
        return working("Applying", f"commit {short(commit)}: nothing is pruned before {names} has seen it, too")
    if failures:
        first = shown(failures[:1])[0]
        more = f", and {len(failures) - 1} more" if len(failures) > 1 else ""
        return working("ApplyFailed", f"commit {short(commit)}: {first.what}: {first.message}{more}")
    return ready("Applied", f"commit {short(commit)}: {len(report.inventory)} objects{_kept(report.kept)}")


def _kept(kept: Sequence[ObjectId]) -> str:
    if not kept:
        return ""
    names = ", ".join(map(str, kept[:5]))
    return f"; gone from the repository but kept, as not annotated with pointsman.dev/prune: allow: {names}"
