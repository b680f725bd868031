"""What comes before any strategy, in this order: a table of name, test and outcome.

A test finds a reason to act, or None. An outcome either says what should be, and no strategy is asked; or changes the
attempt, and the next guard is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from controller.api.phase import Phase
from controller.api.reasons import Reason
from controller.api.status import Attempt, Clock
from controller.rollout import adoption, baseline, manual
from controller.rollout.at_stable import stable_alone
from controller.rollout.converge import CONFIG_AGAIN_S
from controller.rollout.desired import Desired, Pods, Summary
from controller.rollout.draft import Draft
from controller.rollout.failed_checks import FailedCheck, failed_check
from controller.rollout.hand_over import hand_over, other_router
from controller.rollout.manual_rollback import manual_rollback
from controller.rollout.observation import ConfigTrouble
from controller.rollout.preview import Preview
from controller.rollout.rejection import end_attempt, reject
from controller.rollout.traffic import WHOLE, preview_at, serving

_STEADY_S = 120.0
"""Ready for so long, a canary that lost its pods gets the whole deadline again. A probe as Kubernetes sets it needs
40 s for one turn from ready to unready and back: what turns like that again and again is never steady.
"""
_TAKEN_AGAIN_S = 15.0
_SUPPORTED_AGAIN_S = 15.0
_BEFORE_THERE_WERE_TWO = "canary"


@dataclass(frozen=True)
class Guard:
    name: str
    test: Callable[[Draft], Any]
    """What was found, or None."""
    outcome: Callable[[Draft, Any], Desired | None]


def first_that_decides(draft: Draft) -> Desired | None:
    for guard in GUARDS:
        found = guard.test(draft)
        desired = None if found is None else guard.outcome(draft, found)
        if desired is not None:
            return desired
    return None


# -- the Release as a whole ------------------------------------------------------------------------------------------


def _deleting(draft: Draft) -> bool | None:
    return draft.seen.deleting or None


def _finalize(draft: Draft, _: bool) -> Desired:  # noqa: FBT001 - what the test found
    """Everything to stable first, then the finalizer goes, and the garbage collector does the rest."""
    has_route = draft.status.stable != "" and draft.seen.weights is not None
    if adoption.is_adopting(draft):
        said = "what was adopted gets its work back; objects are being removed"
        return adoption.given_back(Summary(Phase.PROGRESSING, Reason.DELETING, said), finalize=True)
    summary = Summary(Phase.PROGRESSING, Reason.DELETING, "traffic is at stable; objects are being removed")
    return Desired(
        summary,
        weight=0.0 if has_route else None,
        service=draft.status.stable,
        preview=_of_stable(draft),
        hands_off=True,
        finalize=True,
    )


def _of_stable(draft: Draft) -> Preview | None:
    """What there is of a preview stays under deletionPolicy Orphan, and leads to what stays trusted."""
    preview, stable = draft.seen.preview, draft.status.stable
    if preview is None or not preview.revision or not stable or preview.reach.mirror:
        return None
    return replace(preview, revision=stable)


def _leave_the_route(draft: Draft, seconds: float) -> Desired:
    draft.again(seconds)
    message = "a person controls the route (annotation pointsman.dev/manual)"
    return Desired(Summary(Phase.PAUSED, Reason.MANUAL, message), hands_off=True)


def _taken(draft: Draft) -> str | None:
    """Known before work is given; a version that serves goes on serving."""
    return draft.seen.taken if draft.seen.taken and not draft.status.stable else None


def _say_it_is_taken(draft: Draft, taken: str) -> Desired:
    message = (
        f"{taken} belongs to something else, so nothing is deployed. Take it over with spec.adopt (`pointsman adopt` "
        "writes it), or give the Release another name."
    )
    draft.announce(Reason.SERVICE_TAKEN, message)
    draft.again(_TAKEN_AGAIN_S)  # no watch shows that an object of another owner is gone
    return Desired(Summary(Phase.WAITING, Reason.SERVICE_TAKEN, message), hands_off=True)


def _give_back(draft: Draft, given_back: Desired) -> Desired:
    """Before another router is taken: that one waits until the version that was rejected has lost its work."""
    del draft
    return given_back


def _going_back(draft: Draft) -> str | None:
    return None if draft.status.going_back is None else draft.status.going_back.to


def _suspended(draft: Draft) -> bool | None:
    return draft.seen.spec.suspend or None


def _suspend(draft: Draft, _: bool) -> Desired:  # noqa: FBT001 - what the test found
    """No step, no analysis, no new version. What protects stable's users goes on."""
    if draft.status.on_trial:
        failed = _failed(draft)
        if failed is not None:
            _roll_back(draft, failed)
        else:
            if _without_endpoints(draft):
                _take_work_away(draft, draft.status.canary)
            draft.stop_clock()
            draft.update_attempt(start_blocked=True)
    said = "spec.suspend is true: steps and analysis stand still"
    stable = draft.status.stable
    if not stable:
        return Desired(Summary(Phase.PAUSED, Reason.SUSPENDED, said))
    spec, weight = draft.seen.spec, draft.in_force
    pods = spec.strategy.sizes(draft.seen.sizing, spec.replicas, weight).stable
    preview = preview_at(draft, draft.status.step)
    if preview is not None and preview.reach.mirror:
        said += f"; {preview.revision} still gets copies of {preview.reach.mirror:g} % of the requests, unwatched"
    return Desired(
        Summary(Phase.PAUSED, Reason.SUSPENDED, said),
        weight=weight,
        baseline=baseline.weight_beside(draft, weight),
        pods={stable: Pods(pods)},
        service=serving(draft, weight),
        preview=preview,
    )


# -- the attempt -----------------------------------------------------------------------------------------------------


def _superseded(draft: Draft) -> str | None:
    """Why the canary is no longer asked for."""
    status, target = draft.status, draft.seen.target
    if not status.stable or status.attempt is None or status.canary == target:
        return None
    if target == status.stable:
        return "the spec is back at the stable version"
    return "the spec is back at a rejected revision" if status.is_rejected(target) else f"superseded by {target}"


def _end_superseded(draft: Draft, why: str) -> None:
    draft.replaced = draft.status.canary
    end_attempt(draft, "superseded", why)


def _other_strategy(draft: Draft) -> str | None:
    """Why the attempt under way cannot go on: its steps, and what was fixed of its analysis, are another strategy's."""
    status, now = draft.status, draft.seen.spec.strategy_kind
    if not status.stable or status.attempt is None or status.full_by:
        return None
    before = status.attempt.strategy or _BEFORE_THERE_WERE_TWO
    return f"spec.strategy changed from {before} to {now}" if before != now else None


def _start_anew(draft: Draft, why: str) -> None:
    draft.replaced = draft.status.canary
    draft.event(Reason.STRATEGY_CHANGED, f"{draft.status.canary} starts at the first step again: {why}")
    end_attempt(draft, "superseded", why)


def _cannot_be_made(draft: Draft) -> ConfigTrouble | None:
    """A ConfigMap that is missing is no fault of the version: nothing is begun, and nothing rejected."""
    under_way = draft.status.attempt is not None and draft.status.stable != ""
    return None if under_way else draft.seen.cannot_be_made


def _await_configuration(draft: Draft, trouble: ConfigTrouble) -> Desired:
    draft.announce(trouble.reason, trouble.message)
    draft.again(CONFIG_AGAIN_S)
    summary = Summary(Phase.WAITING, trouble.reason, trouble.message)
    return stable_alone(draft, summary) if draft.status.stable else Desired(summary)


def _new_version(draft: Draft) -> str | None:
    status, target = draft.status, draft.seen.target
    comes = status.stable != "" and status.attempt is None and target != status.stable
    return target if comes and not status.is_rejected(target) else None


def _begin(draft: Draft, new: str) -> None:
    """A new attempt, whose first step is entered once the canary has the pods for it."""
    clock = Clock(draft.now, step_started=draft.now)
    attempts = draft.status.attempts + 1
    change = draft.seen.config_change if new == draft.seen.spec_revision else ""
    attempt = Attempt(new, clock, strategy=draft.seen.spec.strategy_kind, change=change)
    draft.update(attempt=attempt, attempts=attempts, stopped_at=0, unproven=(), evidence="")
    instead = f", instead of {draft.replaced}" if draft.replaced not in ("", new) else ""
    what = f"{new} is rolled out against {draft.status.stable}{instead}"
    draft.event("NewVersion", f"{what}; {change}" if change else what)


def _unsupported(draft: Draft) -> str | None:
    """What the cluster cannot do, while that is still to come: what is behind a version needs nothing any more."""
    seen, status = draft.seen, draft.status
    if not seen.unsupported or not status.stable or status.is_rejected(seen.target):
        return None
    steps = seen.spec.steps
    works = status.step >= len(steps) or any((step.weight or 0) > 0 for step in steps[: status.step + 1])
    return None if works and status.attempt is not None else seen.unsupported


def _await_support(draft: Draft, unsupported: str) -> Desired:
    """As for a spec that cannot be meant: nothing is begun and nothing rejected, and what was begun waits."""
    draft.announce(Reason.INVALID, unsupported)
    draft.again(_SUPPORTED_AGAIN_S)
    at_stable = stable_alone(draft, Summary(Phase.INVALID, Reason.INVALID, unsupported))
    if draft.status.attempt is None:
        return at_stable
    draft.stop_clock()
    draft.update_attempt(start_blocked=True)
    return replace(at_stable, kept=None)


def _failed(draft: Draft) -> FailedCheck | None:
    on_trial = draft.status.stable != "" and draft.status.attempt is not None
    return failed_check(draft) if on_trial else None


def _roll_back(draft: Draft, failed: FailedCheck) -> None:
    if failed.evidence:
        draft.update(evidence=failed.evidence)
        draft.failed_by = failed.evidence
    reject(draft, failed.reason, failed.message)


def _without_endpoints(draft: Draft) -> str | None:
    """A canary with work and no pod that serves, as EndpointSlices show it: the router's own 503s then belong to no
    version and would never convict it.
    """
    seen, status = draft.seen, draft.status
    if not status.stable or status.attempt is None or seen.spec.replicas == 0:
        return None
    has_work = status.weight > 0 or (seen.weights or {}).get(status.canary, 0) > 0
    if not has_work:
        return None
    serving, kept = seen.state(status.canary).serving, seen.state(status.stable).serving
    # all of the work on less than half of the pods, and a version beside it that could carry it
    overrun = status.weight >= WHOLE and serving * 2 < seen.spec.replicas and kept >= serving * 2
    return status.canary if serving == 0 or (overrun and kept > 0) else None


def _take_work_away(draft: Draft, canary: str) -> None:
    """At once. The strategy finds that it has no pods, and awaits them."""
    clock = draft.attempt.clock
    if draft.status.weight > 0:
        draft.update_clock(unready_since=clock.unready_since or draft.now, held_since=clock.held_since or draft.now)
        serving = draft.seen.state(canary).serving
        found = f"only {serving} of {draft.seen.spec.replicas} pods" if serving else "no pod"
        message = f"{found} of {canary} {'are' if serving else 'is'} ready; its traffic went to stable"
        draft.event(draft.words.unready, message, warning=True)
        draft.update(weight=0.0, weight_since=draft.now)
        draft.again(0)


def _unsteady(draft: Draft) -> float | None:
    """Seconds until a canary that lost its pods and is back counts as steady; 0: now."""
    status = draft.status
    if not status.stable or status.attempt is None or status.weight_since is None or status.weight == 0:
        return None
    if status.attempt.clock.unready_since is None:
        return None
    return max(0.0, status.weight_since + min(_STEADY_S, draft.seen.spec.progress_deadline) - draft.now)


def _await_steadiness(draft: Draft, seconds: float) -> None:
    if seconds > 0:
        draft.again(seconds)
    else:
        draft.update_clock(unready_since=None)


GUARDS: tuple[Guard, ...] = (
    Guard("the Release is being deleted", _deleting, _finalize),
    Guard("a person controls the route", manual.left, _leave_the_route),
    Guard("a name is taken", _taken, _say_it_is_taken),
    Guard("what runs cannot be adopted", adoption.refused, adoption.say_why),
    Guard("the first version is rejected, and what was adopted serves again", adoption.rejected, _give_back),
    Guard("a person goes back to an older version", _going_back, manual_rollback),
    Guard("the spec asks for another router", other_router, hand_over),
    Guard("the Release is suspended", _suspended, _suspend),
    Guard("the canary is no longer asked for", _superseded, _end_superseded),
    Guard("the spec asks for another strategy", _other_strategy, _start_anew),
    Guard("the configuration is missing", _cannot_be_made, _await_configuration),
    Guard("the cluster cannot do a step", _unsupported, _await_support),
    Guard("a new version is asked for", _new_version, _begin),
    Guard("the canary fails a check", _failed, _roll_back),
    Guard("the canary has no endpoints", _without_endpoints, _take_work_away),
    Guard("the canary was not steady", _unsteady, _await_steadiness),
)
