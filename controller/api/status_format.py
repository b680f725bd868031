"""How a `Status` is stored in the API server, and read back, also as the last version of the operator left it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.api import times
from controller.api.alerts import FiringAlert
from controller.api.effect import owed_from_raw, owed_to_raw
from controller.api.notice import Incident, Topic
from controller.api.notify import Notify
from controller.api.phase import Phase
from controller.api.reasons import Reason
from controller.api.status import (
    FORMAT,
    KEPT,
    Attempt,
    Blocked,
    Clock,
    GitWrite,
    LastSpec,
    ManualRollback,
    Notified,
    Rejection,
    RouteEdits,
    Status,
    Unproven,
    Unversioned,
)

_MESSAGE = 1024
_TEXTS = {
    "reason": "reason",
    "message": "message",
    "evidence": "evidence",
    "stable": "stableRevision",
    "judged": "judged",
    "previous": "previousStable",
    "retry_seen": "retrySeen",
    "recorded": "recordedRevision",
    "restored": "restoredRevision",
    "selector": "selector",
    "router": "router",
    "router_beside": "routerBeside",
    "adopts": "adopts",
    "adopted": "adopted",
    "deletion_policy": "deletionPolicy",
}
_NUMBERS = {
    "attempts": "attempt",
    "steps": "steps",
    "replicas": "replicas",
    "ready_replicas": "readyReplicas",
}
_MOMENTS = {
    "weight_since": "weightSince",
    "scaled_up": "scaledUpAt",
    "drain_since": "drainSince",
    "failed_kept_until": "failedKeptUntil",
}
_ATTEMPT_TEXTS = {
    "strategy": "strategy",
    "approved_by": "approvedBy",
    "paused_by": "pausedBy",
    "full_by": "fullPromotionBy",
    "run": "analysisRun",
    "change": "configurationChange",
    "baseline": "baselineRevision",
}
_ATTEMPT_FLAGS = {
    "awaits_person": "awaitsPerson",
    "start_blocked": "startBlocked",
    "chosen": "headerJudged",
    "switched": "switched",
}
_CLOCK = {
    "first_step": "firstStepAt",
    "step_entered": "stepEnteredAt",
    "step_started": "stepStartedAt",
    "held_since": "heldSince",
    "unready_since": "unreadySince",
    "paused_since": "pausedSince",
}
_GIT = {"commit": "commit", "branch": "branch", "pull_request": "pullRequest", "note": "note"}
_HAPPENED = ("reason", "message", "evidence", "attempt")
_AWAITED_PERSON = {"AwaitingApproval", "AwaitingTraffic", "Suspicious", "Unproven"}
_START_BLOCKED = {"NoCapacity", "ImagePull", "Suspended"}


def status_from_raw(raw: Mapping[str, Any]) -> Status:
    """What the API server keeps, read back; the CRD holds its shape."""
    if "phase" not in raw:
        return Status()
    if raw.get("format", 1) < FORMAT:
        raw = _carried_over(raw)
    values: dict[str, Any] = {"phase": Phase(raw["phase"]), "weight": float(raw.get("weight", 0))}
    values |= {field: raw[key] for field, key in (_TEXTS | _NUMBERS).items() if key in raw}
    values |= {field: times.from_text(raw[key]) for field, key in _MOMENTS.items() if raw.get(key)}
    values["attempt"] = _attempt_from_raw(raw)
    values["weight_pending"] = bool(raw.get("weightPending"))
    values["previews"] = bool(raw.get("preview"))
    values["stopped_at"] = 0 if values["attempt"] is not None else raw.get("step", 0)
    values["handled"] = tuple(raw.get("handledActions", ()))
    values["queued"] = tuple(raw.get("queuedRevisions", ()))
    values["incidents"] = tuple(map(_incident_from_raw, raw.get("incidents", ())))
    values["alerted"] = tuple(
        Notify(item["name"], frozenset(), item["notifier"], item.get("config", {}), hears_ends=True)
        for item in raw.get("alerted", ())
    )
    values["announced"] = tuple(raw.get("announced", ()))
    values["unproven"] = tuple(Unproven(item["step"], item["message"]) for item in raw.get("unproven", ()))
    values["rejected"] = tuple(_rejection_from_raw(item) for item in raw.get("rejected", ()))
    values["owed"] = owed_from_raw(raw.get("owed", ()))
    if raw.get("returningTo"):
        since = times.from_text(raw["returningSince"]) if raw.get("returningSince") else 0.0
        values["going_back"] = ManualRollback(raw["returningTo"], raw.get("returningWhy", ""), since)
    if raw.get("routePutBack"):
        edits = raw["routePutBack"]
        values["route_edits"] = RouteEdits(tuple(times.from_text(text) for text in edits["at"]), edits.get("by", ""))
    if raw.get("lastRollback"):
        values["last_rollback"] = _rejection_from_raw(raw["lastRollback"])
    if raw.get("lastSpec"):
        values["last_spec"] = LastSpec(raw["lastSpec"]["template"], raw["lastSpec"]["revision"])
    values["unversioned"] = tuple(
        Unversioned(item["revision"], item.get("configuration", "")) for item in raw.get("unversioned", ())
    )
    if raw.get("blocked"):
        found = raw["blocked"]
        values["blocked"] = Blocked(
            found["reason"], found.get("message", ""), Phase(found["phase"]), found.get("revision", "")
        )
    return Status(**values)


def _carried_over(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """A status of the version before, whose reason was part of the state; RouterRefused stood before another."""
    behind, reason = raw.get("reasonBehind", ""), raw.get("reason", "")
    state = behind or reason
    found = dict(raw)
    found["awaitsPerson"] = state in _AWAITED_PERSON
    found["startBlocked"] = state in _START_BLOCKED
    if reason == Reason.TEMPLATE_REFUSED:
        found["blocked"] = {
            "reason": reason,
            "message": raw.get("message", ""),
            "phase": Phase.INVALID,
            "revision": raw.get("canaryRevision") or raw.get("stableRevision", ""),
        }
    elif reason == Reason.ROUTER_REFUSED:
        found["blocked"] = {"reason": reason, "message": raw.get("message", ""), "phase": Phase.WAITING}
    return found


def _attempt_from_raw(raw: Mapping[str, Any]) -> Attempt | None:
    canary = raw.get("canaryRevision", "")
    if not canary:
        return None
    moments = {field: times.from_text(raw[key]) for field, key in _CLOCK.items() if raw.get(key)}
    began = times.from_text(raw["canarySince"]) if raw.get("canarySince") else 0.0
    values: dict[str, Any] = {field: raw[key] for field, key in _ATTEMPT_TEXTS.items() if key in raw}
    values |= {field: bool(raw.get(key)) for field, key in _ATTEMPT_FLAGS.items()}
    values["baseline_weight"] = float(raw.get("baselineWeight", 0))
    values["copied"] = float(raw.get("copiesJudged", 0))
    values["notified"] = tuple(Notified(item["about"], times.from_text(item["at"])) for item in raw.get("notified", ()))
    values["alerts"] = tuple(
        FiringAlert(item["id"], item["name"], times.from_text(item["since"]), item.get("labels", {}))
        for item in raw.get("firingAlerts", ())
    )
    return Attempt(canary, Clock(began, **moments), step=raw.get("step", 0), **values)


def status_to_raw(status: Status) -> dict[str, Any]:
    """Without conditions and observedGeneration. What is empty is left out."""
    raw: dict[str, Any] = {
        "format": FORMAT,
        "phase": str(status.phase),
        "weight": _number(status.weight),
        "step": status.step,
    }
    for field, key in (_TEXTS | _NUMBERS).items():
        value = getattr(status, field)
        if value or field in _NUMBERS:
            raw[key] = str(value) if field in _TEXTS else value
    raw["message"] = status.message[:_MESSAGE]
    if status.weight_pending:
        raw["weightPending"] = True
    if status.previews:
        raw["preview"] = True
    _put_moments(raw, status, _MOMENTS)
    if status.attempt is not None:
        _put_attempt(raw, status.attempt)
    if status.steps and (status.attempt is not None or status.phase in (Phase.ROLLING_BACK, Phase.ROLLED_BACK)):
        raw["progress"] = f"{min(status.step + 1, status.steps)}/{status.steps}"
    _put_history(raw, status)
    _put_troubles(raw, status)
    if status.last_spec is not None:
        raw["lastSpec"] = {"template": status.last_spec.template, "revision": status.last_spec.revision}
    if status.unversioned:
        raw["unversioned"] = [_unversioned_to_raw(item) for item in status.unversioned]
    if status.incidents:
        raw["incidents"] = [_incident_to_raw(item) for item in status.incidents]
    if status.alerted:
        raw["alerted"] = [
            {"name": target.name, "notifier": target.kind, "config": dict(target.raw)} for target in status.alerted
        ]
    if status.owed:
        raw["owed"] = owed_to_raw(status.owed)
    return raw


def _put_history(raw: dict[str, Any], status: Status) -> None:
    for key, values in (("queuedRevisions", status.queued), ("announced", status.announced[:KEPT])):
        if values:
            raw[key] = list(values)
    if status.handled:
        raw["handledActions"] = list(status.handled[-KEPT:])
    if status.unproven:
        raw["unproven"] = [{"step": item.step, "message": item.message[:_MESSAGE]} for item in status.unproven]
    if status.rejected:
        raw["rejected"] = [_rejection_to_raw(item) for item in status.rejected[-KEPT:]]
    if status.last_rollback is not None:
        raw["lastRollback"] = _rejection_to_raw(status.last_rollback)


def _put_troubles(raw: dict[str, Any], status: Status) -> None:
    if status.route_edits.at:
        at = [times.to_text(moment) for moment in status.route_edits.at]
        raw["routePutBack"] = {"at": at, "by": status.route_edits.by[:128]}
    if status.going_back is not None:
        found = status.going_back
        raw |= {
            "returningTo": found.to,
            "returningWhy": found.why[:_MESSAGE],
            "returningSince": times.to_text(found.since),
        }
    if status.blocked is not None:
        raw["blocked"] = _blocked_to_raw(status.blocked)


def _put_attempt(raw: dict[str, Any], attempt: Attempt) -> None:
    raw["canaryRevision"] = attempt.canary
    raw["canarySince"] = times.to_text(attempt.clock.began)
    raw |= {key: getattr(attempt, field) for field, key in _ATTEMPT_TEXTS.items() if getattr(attempt, field)}
    raw |= {key: True for field, key in _ATTEMPT_FLAGS.items() if getattr(attempt, field)}
    _put_moments(raw, attempt.clock, _CLOCK)
    if attempt.baseline_weight:
        raw["baselineWeight"] = _number(attempt.baseline_weight)
    if attempt.copied:
        raw["copiesJudged"] = _number(attempt.copied)
    if attempt.notified:
        raw["notified"] = [{"about": item.about, "at": times.to_text(item.at)} for item in attempt.notified[-KEPT:]]
    if attempt.alerts:
        raw["firingAlerts"] = [_alert_to_raw(item) for item in attempt.alerts]


def _alert_to_raw(alert: FiringAlert) -> dict[str, Any]:
    return {"id": alert.id, "name": alert.name, "since": times.to_text(alert.since), "labels": dict(alert.labels)}


def _put_moments(raw: dict[str, Any], owner: object, fields: Mapping[str, str]) -> None:
    for field, key in fields.items():
        moment = getattr(owner, field)
        if moment is not None:
            raw[key] = times.to_text(moment)


def _blocked_to_raw(blocked: Blocked) -> dict[str, Any]:
    raw = {"reason": str(blocked.reason), "message": blocked.message[:_MESSAGE], "phase": str(blocked.phase)}
    return raw | ({"revision": blocked.revision} if blocked.revision else {})


def _unversioned_to_raw(item: Unversioned) -> dict[str, Any]:
    return {"revision": item.revision} | ({"configuration": item.configuration} if item.configuration else {})


def _incident_to_raw(item: Incident) -> dict[str, Any]:
    raw: dict[str, Any] = {
        "about": item.about,
        "topic": str(item.topic),
        "revision": item.revision,
        "since": times.to_text(item.since),
        "notified": list(item.notified),
    }
    raw |= {key: True for key in ("acknowledged", "quiet") if getattr(item, key)}
    return raw | {key: getattr(item, key) for key in _HAPPENED if getattr(item, key)}


def _incident_from_raw(raw: Mapping[str, Any]) -> Incident:
    more: dict[str, Any] = {key: bool(raw.get(key)) for key in ("acknowledged", "quiet")}
    more |= {key: raw[key] for key in _HAPPENED if key in raw}
    notified = tuple(raw.get("notified", ()))
    since = times.from_text(raw["since"])
    return Incident(raw["about"], Topic(raw["topic"]), raw["revision"], since, notified, **more)


def _number(value: float) -> float | int:
    return int(value) if value == int(value) else value


def _rejection_from_raw(raw: Mapping[str, Any]) -> Rejection:
    return Rejection(
        revision=raw["revision"],
        reason=raw["reason"],
        message=raw.get("message", ""),
        evidence=raw.get("evidence", ""),
        at=times.from_text(raw["at"]),
        change=raw.get("configurationChange", ""),
        git=_git_from_raw(raw["git"]) if raw.get("git") else None,
    )


def _rejection_to_raw(rejection: Rejection) -> dict[str, Any]:
    raw = {
        "revision": rejection.revision,
        "reason": str(rejection.reason),
        "message": rejection.message[:_MESSAGE],
        "evidence": rejection.evidence,
        "at": times.to_text(rejection.at),
    }
    if rejection.change:
        raw["configurationChange"] = rejection.change
    return raw | ({"git": _git_to_raw(rejection.git)} if rejection.git is not None else {})


def _git_from_raw(raw: Mapping[str, Any]) -> GitWrite:
    return GitWrite(**{field: raw.get(key, "") for field, key in _GIT.items()}, retried=raw.get("retried", False))


def _git_to_raw(written: GitWrite) -> dict[str, Any]:
    found = {key: getattr(written, field)[:_MESSAGE] for field, key in _GIT.items()}
    raw: dict[str, Any] = {key: text for key, text in found.items() if text}
    return raw | ({"retried": True} if written.retried else {})
