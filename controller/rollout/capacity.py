"""Pods before work: whether a canary has those that a weight needs, and how long it may take to get them."""

from __future__ import annotations

from controller.api.phase import Phase
from controller.rollout import holds
from controller.rollout.desired import Summary
from controller.rollout.draft import Draft
from controller.rollout.observation import RevisionState
from controller.rollout.strategy import Strategy
from controller.rollout.without_work import copied_at


def lacks_pods(draft: Draft, weight: float) -> bool:
    """Of those that are needed for `weight` percent. What is in force already stays so while some pods serve."""
    canary, want = _state(draft), _wanted(draft, weight)
    # without work nothing is in force before the first step has begun
    given = weight > 0 or draft.attempt.clock.step_entered is not None
    in_force = given and draft.status.weight == weight and canary.serving > 0
    promoting = draft.status.step >= len(draft.seen.spec.steps)
    return min(canary.wanted, canary.serving) < want and not (in_force and (holds.caps(draft) or not promoting))


def grows(draft: Draft) -> bool:
    """Pods were asked for, beyond those of the canary that serve, and have their time to come."""
    scaled_up, deadline = draft.status.scaled_up, draft.seen.spec.progress_deadline
    in_time = scaled_up is not None and draft.now < scaled_up + deadline
    return in_time and _state(draft).serving < _wanted(draft, draft.status.weight)


def overdue(draft: Draft, weight: float) -> str:
    """What was not ready in time, where the canary had its pods and its chance; empty otherwise."""
    canary, want = _state(draft), _wanted(draft, weight)
    excused = canary.wanted < want or _not_its_fault(canary) or draft.attempt.start_blocked
    unreached = canary.unreached_s > 0 and canary.up >= want
    if excused or unreached or _time_left(draft) > 0:
        return ""
    deadline = f"{draft.seen.spec.progress_deadline:.0f} s (spec.progressDeadlineSeconds)"
    steady = "" if draft.attempt.clock.unready_since is None else ", never steadily"
    why = "" if canary.trouble is None else f": {canary.trouble.message}"
    return f"{_found(draft, weight)} after {deadline}{steady}{why}"


def awaited(draft: Draft, weight: float) -> Summary:
    """What the release waits for; the deadline begins when the version has its chance to start."""
    canary, attempt, blocked = _state(draft), draft.attempt, draft.seen.status.blocked
    if canary.trouble is not None and _not_its_fault(canary):
        draft.update_attempt(start_blocked=True)
        return Summary(Phase.WAITING, canary.trouble.reason, canary.trouble.message)
    if attempt.start_blocked:
        draft.update_attempt(start_blocked=False)
        draft.update(scaled_up=draft.now)
        if attempt.clock.unready_since is not None:
            draft.update_clock(unready_since=draft.now)
    if blocked is not None and blocked.revision == attempt.canary and not canary.complete:
        return Summary(blocked.phase, blocked.reason, blocked.message)
    needs_more = canary.wanted < _wanted(draft, weight)  # then its deadline begins with this decision
    left = draft.seen.spec.progress_deadline if needs_more else _time_left(draft)
    draft.again(left if left > 0 else None)
    found = _found(draft, weight)
    if attempt.clock.unready_since is not None and draft.status.weight == 0:
        return Summary(Phase.WAITING, draft.words.unready, found)
    if attempt.paused_by:
        return holds.paused(draft)
    if canary.trouble is not None:
        return Summary(Phase.WAITING, canary.trouble.reason, f"{found}: {canary.trouble.message}")
    done = attempt.step >= len(draft.seen.spec.steps)
    return Summary(Phase.PROMOTING if done else Phase.PROGRESSING, draft.words.starting, found)


def _state(draft: Draft) -> RevisionState:
    return draft.seen.state(draft.status.canary)


def _wanted(draft: Draft, weight: float) -> int:
    spec = draft.seen.spec
    strategy: Strategy = spec.strategy
    return strategy.sizes(draft.seen.sizing, spec.replicas, carried(draft, weight)).canary


def carried(draft: Draft, weight: float) -> float:
    """Percent of the work that the canary needs pods for: copies are as much to do. Of a switch its previewReplicas
    say how many there are before.
    """
    return weight if draft.seen.spec.strategy.switches else max(weight, copied_at(draft))


def _found(draft: Draft, weight: float) -> str:
    return f"{_state(draft).serving} of {_wanted(draft, weight)} pods of {draft.status.canary} serve"


def _time_left(draft: Draft) -> float:
    clock, status = draft.attempt.clock, draft.status
    moments = (clock.began, clock.step_started, status.scaled_up, status.weight_since)
    # coming back for a moment gives no new time
    since = clock.unready_since or max(moment for moment in moments if moment is not None)
    return since + draft.seen.spec.progress_deadline - draft.now


def _not_its_fault(canary: RevisionState) -> bool:
    return canary.trouble is not None and not canary.trouble.is_the_versions_fault
