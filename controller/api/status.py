"""A Release's `status`: all that is needed to go on after a crash, and what a person sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.api import times
from controller.api.phase import Phase

KEPT = 20
"""ReleaseActions and rejections that are remembered."""


@dataclass(frozen=True)
class Rejection:
    """A revision that was taken back, and why."""

    revision: str
    reason: str
    message: str
    evidence: str
    at: float


@dataclass(frozen=True)
class Unproven:
    """A step that was left without proof that the canary is no worse."""

    step: int
    message: str


@dataclass(frozen=True)
class RouteEdits:
    """When what somebody else had done to the route was put back lately, and who that was, where it is known."""

    at: tuple[float, ...] = ()
    by: str = ""


@dataclass(frozen=True)
class Status:
    """Moments are seconds since the epoch. The empty text means: none."""

    phase: Phase = Phase.PENDING
    reason: str = "New"
    message: str = ""
    behind: str = ""
    """The reason that stands behind RouterRefused, and counts again when the router takes what it is told."""
    evidence: str = ""
    stable: str = ""
    canary: str = ""
    attempt: int = 0
    step: int = 0
    """Index of the step that is under way; the number of steps when all are done."""
    steps: int = 0
    weight: float = 0.0
    """Percent of the work on the canary."""
    canary_since: float | None = None
    step_started: float | None = None
    step_entered: float | None = None
    """When the step began; its clock, `step_started`, is moved on by outages and pauses."""
    held_since: float | None = None
    """Since when the step's clock stands still."""
    unready_since: float | None = None
    """Since when the canary has not been steadily ready."""
    weight_since: float | None = None
    scaled_up: float | None = None
    drain_since: float | None = None
    approved_by: str = ""
    handled: tuple[str, ...] = ()
    """UIDs of ReleaseActions that took effect: an approval must not pass two steps."""
    unproven: tuple[Unproven, ...] = ()
    rejected: tuple[Rejection, ...] = ()
    last_rollback: Rejection | None = None
    run: str = ""
    judged: str = ""
    """How stable came to be: FirstDeployment, LimitsKept, NoMetrics, Proven, Unproven, or by a person."""
    paused_by: str = ""
    """Who stopped the steps of this attempt, and why."""
    paused_since: float | None = None
    full_by: str = ""
    """Who ended the judging of this attempt, and why: everything goes to the canary."""
    previous: str = ""
    """The version that was stable before, to go back to."""
    returning: str = ""
    """The older version that stable is being left for."""
    returning_why: str = ""
    returning_since: float | None = None
    retry_seen: str = ""
    """What the annotation that retries said last: it counts once for each time it is written."""
    queued: tuple[str, ...] = ()
    """Versions that wait until the canary is done; the spec's is the last of them."""
    route_edits: RouteEdits = RouteEdits()
    replicas: int = 0
    ready_replicas: int = 0
    selector: str = ""

    @property
    def step_since(self) -> float:
        """The step's looks are those that began then or later."""
        moments = (self.step_entered, self.step_started)
        return min((moment for moment in moments if moment is not None), default=0.0)

    def changed(self, **changes: Any) -> Status:
        """What `dataclasses.replace` does, without reading and setting each of forty fields: it is asked often."""
        unknown = changes.keys() - vars(self).keys()
        if unknown:
            raise TypeError(f"a Status has no {', '.join(sorted(unknown))}")
        status = object.__new__(Status)
        vars(status).update(vars(self), **changes)
        return status

    def is_rejected(self, revision: str) -> bool:
        return any(rejection.revision == revision for rejection in self.rejected)


def refused_by_router(status: Status, message: str) -> Status:
    """The router did not take what it was told. The reason before it counts on: for approvals, for deadlines."""
    behind = status.behind or status.reason
    return status.changed(phase=Phase.WAITING, reason="RouterRefused", behind=behind, message=message)


_TEXTS = {
    "reason": "reason",
    "message": "message",
    "behind": "reasonBehind",
    "evidence": "evidence",
    "stable": "stableRevision",
    "canary": "canaryRevision",
    "approved_by": "approvedBy",
    "run": "analysisRun",
    "judged": "judged",
    "paused_by": "pausedBy",
    "full_by": "fullPromotionBy",
    "previous": "previousStable",
    "returning": "returningTo",
    "returning_why": "returningWhy",
    "retry_seen": "retrySeen",
    "selector": "selector",
}
_MOMENTS = {
    "canary_since": "canarySince",
    "step_started": "stepStartedAt",
    "step_entered": "stepEnteredAt",
    "held_since": "heldSince",
    "unready_since": "unreadySince",
    "weight_since": "weightSince",
    "scaled_up": "scaledUpAt",
    "drain_since": "drainSince",
    "paused_since": "pausedSince",
    "returning_since": "returningSince",
}
_NUMBERS = {
    "attempt": "attempt",
    "step": "step",
    "steps": "steps",
    "replicas": "replicas",
    "ready_replicas": "readyReplicas",
}


def status_from_raw(raw: Mapping[str, Any]) -> Status:
    """What the API server keeps, read back; the CRD holds its shape."""
    if "phase" not in raw:
        return Status()
    values: dict[str, Any] = {"phase": Phase(raw["phase"]), "weight": float(raw.get("weight", 0))}
    values |= {field: raw[key] for field, key in (_TEXTS | _NUMBERS).items() if key in raw}
    values |= {field: times.from_text(raw[key]) for field, key in _MOMENTS.items() if raw.get(key)}
    values["handled"] = tuple(raw.get("handledActions", ()))
    values["queued"] = tuple(raw.get("queuedRevisions", ()))
    values["unproven"] = tuple(Unproven(item["step"], item["message"]) for item in raw.get("unproven", ()))
    values["rejected"] = tuple(_rejection_from_raw(item) for item in raw.get("rejected", ()))
    if raw.get("routePutBack"):
        edits = raw["routePutBack"]
        values["route_edits"] = RouteEdits(tuple(times.from_text(text) for text in edits["at"]), edits.get("by", ""))
    if raw.get("lastRollback"):
        values["last_rollback"] = _rejection_from_raw(raw["lastRollback"])
    return Status(**values)


def status_to_raw(status: Status) -> dict[str, Any]:
    """Without conditions and observedGeneration. What is empty is left out."""
    raw: dict[str, Any] = {"phase": str(status.phase), "weight": _number(status.weight)}
    for field, key in (_TEXTS | _NUMBERS).items():
        value = getattr(status, field)
        if value or field in _NUMBERS:
            raw[key] = value
    for field, key in _MOMENTS.items():
        moment = getattr(status, field)
        if moment is not None:
            raw[key] = times.to_text(moment)
    raw["message"] = status.message[:1024]
    if status.steps and (status.canary or status.phase in (Phase.ROLLING_BACK, Phase.ROLLED_BACK)):
        raw["progress"] = f"{min(status.step + 1, status.steps)}/{status.steps}"
    if status.handled:
        raw["handledActions"] = list(status.handled[-KEPT:])
    if status.queued:
        raw["queuedRevisions"] = list(status.queued)
    if status.unproven:
        raw["unproven"] = [{"step": item.step, "message": item.message[:1024]} for item in status.unproven]
    if status.rejected:
        raw["rejected"] = [_rejection_to_raw(item) for item in status.rejected[-KEPT:]]
    if status.route_edits.at:
        at = [times.to_text(moment) for moment in status.route_edits.at]
        raw["routePutBack"] = {"at": at, "by": status.route_edits.by[:128]}
    if status.last_rollback is not None:
        raw["lastRollback"] = _rejection_to_raw(status.last_rollback)
    return raw


def _number(value: float) -> float | int:
    return int(value) if value == int(value) else value


def _rejection_from_raw(raw: Mapping[str, Any]) -> Rejection:
    return Rejection(
        revision=raw["revision"],
        reason=raw["reason"],
        message=raw.get("message", ""),
        evidence=raw.get("evidence", ""),
        at=times.from_text(raw["at"]),
    )


def _rejection_to_raw(rejection: Rejection) -> dict[str, Any]:
    return {
        "revision": rejection.revision,
        "reason": rejection.reason,
        "message": rejection.message[:1024],
        "evidence": rejection.evidence,
        "at": times.to_text(rejection.at),
    }
