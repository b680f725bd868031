"""A new version on its way: capacity, then weight, then looks, step by step; then promotion and drain."""

from __future__ import annotations

from typing import assert_never

from controller.api.phase import Phase
from controller.api.status import Unproven
from controller.rollout import contention
from controller.rollout.actions import CloseRun
from controller.rollout.failed_checks import convicted
from controller.rollout.observation import RevisionState
from controller.rollout.outage import hold, release_hold
from controller.rollout.plan import WHOLE, Plan
from controller.rollout.readiness import leave_the_dead, trust_the_steady
from controller.rollout.requests import settle_paused
from controller.rollout.sizing import Sizes, Sizing, sizes
from controller.rollout.stable import keep_stable, reject, serve_stable, stay_rolled_back, take_back
from controller.rollout.step import Done, Fail, StepView, Wait
from controller.stats.evidence import NO_EVIDENCE

_NOT_ITS_TIME = {"NoCapacity", "ImagePull", "Suspended"}
"""Reasons for which a version had no chance to start: its deadline begins when they are over."""


def go_on(plan: Plan) -> None:
    """The spec asks for a revision that is neither stable nor rejected."""
    before = plan.status.canary
    begins = before != plan.seen.target
    if begins:
        _begin(plan)
    if convicted(plan):
        stay_rolled_back(plan)
        return
    leave_the_dead(plan)
    trust_the_steady(plan)
    if _has_capacity(plan):
        if begins and before:
            # what was taken back is written before the next one gets work: a pass that moves the work down and up
            # again undoes itself whenever the operator dies before its status
            plan.settle(Phase.PROGRESSING, "CanaryStarting", f"{before} has no work any more, its successor is ready")
            plan.again(0)
        else:
            _walk(plan)
    if plan.status.canary:
        _tidy(plan)


def stand_still(plan: Plan) -> None:
    """Suspended: no step, no look, no new version. What protects stable's users goes on."""
    on_trial = plan.status.step_started is not None  # also the first version, which has no stable beside it
    if plan.status.canary and on_trial and not (plan.status.stable and convicted(plan)):
        if plan.status.stable:
            leave_the_dead(plan)
        plan.stop_the_clock()
    if plan.status.weight < plan.seen.status.weight:
        serve_stable(plan)
    plan.settle(Phase.PAUSED, "Suspended", "spec.suspend is true: steps and looks stand still")


def _begin(plan: Plan) -> None:
    """A new attempt, from step one; whatever was on its way goes back to stable first."""
    old, new = plan.status.canary, plan.seen.target
    if old:
        take_back(plan, "superseded", f"{new} was asked for")
    attempt = plan.status.attempt + 1
    plan.enter_step(
        0,
        canary=new,
        canary_since=plan.now,
        held_since=None,
        unready_since=None,
        attempt=attempt,
        unproven=(),
        evidence="",
    )
    plan.tell("NewVersion", f"{new} comes out against {plan.status.stable}" + (f", instead of {old}" if old else ""))


def _weight_of(plan: Plan, step: int) -> float:
    """The weight in force at a step: that of the last `weight` up to it."""
    weights = [item.weight for item in plan.seen.spec.steps[: step + 1] if item.weight is not None]
    return float(weights[-1]) if weights else 0.0


def _sizes(plan: Plan, weight: float) -> Sizes:
    spec = plan.seen.spec
    return sizes(plan.seen.sizing, spec.scale, spec.replicas, weight)


def _has_capacity(plan: Plan) -> bool:
    """Capacity comes before weight. False while it is still awaited, with the phase set."""
    seen, status = plan.seen, plan.status
    if seen.spec.replicas == 0 and seen.spec.analysis.metrics:
        _wait_at_zero(plan)
        return False
    promoting = status.step >= len(seen.spec.steps)
    weight = WHOLE if promoting else _weight_of(plan, status.step)
    unwatched = seen.metric_trouble is not None and status.weight > 0 and not status.full_by
    held = unwatched or status.paused_by != "" or plan.contended
    if held:
        # by pod count more pods are more work, and nothing rises while nobody watches, a person has said stop, or
        # somebody else moves the work
        weight = min(weight, status.weight)
    by_pods = seen.sizing is Sizing.BY_PODS
    want = _sizes(plan, weight).canary
    canary = seen.state(status.canary)
    in_force = status.weight == weight and canary.serving > 0
    lacking = min(canary.wanted, canary.serving) < want and not (in_force and (held or not promoting))
    if lacking and _overdue(plan, canary, want):
        return False
    plan.ensure_pods(status.canary, want, shrink=by_pods)
    if lacking:
        # also what was edited by hand is put back
        plan.set_weight(status.weight)
        _await_pods(plan, canary, want)
        return False
    if by_pods and status.weight == 0 and len(seen.revisions) > 2:  # noqa: PLR2004 - stable and canary
        # Service NAME selects all pods there are, so a version that is leaving would get work again
        plan.set_weight(0)
        plan.settle(Phase.PROGRESSING, "Draining", "an older version has to be gone first")
        return False
    return True


def _wait_at_zero(plan: Plan) -> None:
    """Scaled to zero, nothing can be compared, and the unjudged version must not be the one that comes back."""
    plan.set_weight(0)
    plan.ensure_pods(plan.status.canary, 0, shrink=True)
    plan.settle(Phase.WAITING, "ScaledToZero", "spec.replicas is 0: there is no work to judge by")


def _time_left(plan: Plan) -> float:
    status = plan.status
    moments = (status.canary_since, status.step_started, status.scaled_up, status.weight_since)
    # coming back for a moment gives no new time
    since = status.unready_since or max(moment for moment in moments if moment is not None)
    return since + plan.seen.spec.progress_deadline - plan.now


def _not_its_fault(canary: RevisionState) -> bool:
    return canary.trouble is not None and not canary.trouble.is_the_versions_fault


def _overdue(plan: Plan, canary: RevisionState, wanted: int) -> bool:
    """Takes the canary back when it had its pods, and its time, and still does not serve."""
    excused = canary.wanted < wanted or _not_its_fault(canary) or plan.status.reason in _NOT_ITS_TIME
    if excused or _time_left(plan) > 0:
        return False
    deadline = f"{plan.seen.spec.progress_deadline:.0f} s (spec.progressDeadlineSeconds)"
    found = f"{canary.serving} of {wanted} pods of {plan.status.canary} serve"
    steady = "" if plan.status.unready_since is None else ", and it was not steady in all that time"
    reject(plan, "ProgressDeadlineExceeded", f"{found} after {deadline}{steady}")
    stay_rolled_back(plan)
    return True


def _await_pods(plan: Plan, canary: RevisionState, wanted: int) -> None:
    if canary.trouble is not None and _not_its_fault(canary):
        plan.settle(Phase.WAITING, canary.trouble.reason, canary.trouble.message)
        return
    if plan.status.reason in _NOT_ITS_TIME:
        plan.update(scaled_up=plan.now)
        if plan.status.unready_since is not None:
            plan.update(unready_since=plan.now)
    plan.again(_time_left(plan))
    found = f"{canary.serving} of {wanted} pods of {plan.status.canary} serve"
    if plan.status.reason == "CanaryUnready":
        plan.settle(Phase.WAITING, "CanaryUnready", found)
    elif plan.status.paused_by:
        settle_paused(plan)
    else:
        done = plan.status.step >= len(plan.seen.spec.steps)
        plan.settle(Phase.PROMOTING if done else Phase.PROGRESSING, "CanaryStarting", found)


def _tidy(plan: Plan) -> None:
    """Once the weight is set: stable has the pods for its share, Service NAME is stable's, the rest goes."""
    status = plan.status
    plan.ensure_pods(status.stable, _sizes(plan, status.weight).stable, shrink=True)
    plan.point_service(status.stable)
    plan.retire_others(status.stable, status.canary)


def _walk(plan: Plan) -> None:
    """As many steps as can be passed now. Setting a weight ends the walk: it must be in force before it is judged."""
    steps = plan.seen.spec.steps
    if plan.status.paused_by or plan.contended:
        _stand_by(plan)
        return
    if plan.status.step >= len(steps):
        _promote(plan)
        return
    while plan.status.step < len(steps):
        index = plan.status.step
        weight = _weight_of(plan, index)
        if weight > 0 and plan.seen.metric_trouble is not None:
            hold(plan, weight)
            return
        returns = _lost_its_pods_in_this_step(plan)
        release_hold(plan)
        if plan.set_weight(weight):
            plan.tell("Weight", f"step {index + 1}/{len(steps)}: {weight:g} % of the work on {plan.status.canary}")
            if not returns:
                plan.update(step_started=plan.now, step_entered=plan.now)
        outcome = steps[index].advance(_view(plan))
        match outcome:
            case Wait():
                _wait(plan, outcome)
                return
            case Fail():
                reject(plan, outcome.reason, outcome.message)
                stay_rolled_back(plan)
                return
            case Done():
                _next_step(plan, outcome)
                if index + 1 < len(steps) and _weight_of(plan, index + 1) != weight:
                    # more weight may need more pods, which the next decision sees to
                    over = outcome.message or f"{weight:g} % of the work on {plan.status.canary}"
                    plan.settle(Phase.PROGRESSING, "NextStep", over)
                    plan.again(0)
                    return
            case _:
                assert_never(outcome)
    plan.settle(Phase.PROMOTING, "StepsDone", "all steps are done")
    plan.again(0)


def _lost_its_pods_in_this_step(plan: Plan) -> bool:
    """Its clock goes on where it stood: one that begins anew each time never comes to an end."""
    lost, started = plan.status.unready_since, plan.status.step_started
    return lost is not None and started is not None and started <= lost


def _stand_by(plan: Plan) -> None:
    """No step goes on: looks, what protects from an outage, and rollbacks do."""
    if plan.seen.metric_trouble is not None and plan.status.weight > 0:
        hold(plan, plan.status.weight)
    elif plan.status.paused_by:
        _stay_paused(plan)
    else:
        _wait_for_the_route(plan)


def _stay_paused(plan: Plan) -> None:
    """A person stopped the steps."""
    # the pause has a clock of its own, which is made up for when it ends
    plan.update(held_since=None)
    plan.set_weight(plan.status.weight)
    _view(plan)
    settle_paused(plan)


def _wait_for_the_route(plan: Plan) -> None:
    """Somebody else writes it as well: what is given more work there might get anything."""
    if plan.status.held_since is None:
        plan.update(held_since=plan.now)
        plan.tell(contention.REASON, contention.sentence(plan.status.route_edits), warning=True)
    plan.set_weight(plan.status.weight)
    _view(plan)
    plan.settle(Phase.WAITING, contention.REASON, contention.sentence(plan.status.route_edits))


def _next_step(plan: Plan, outcome: Done) -> None:
    index = plan.status.step
    unproven = (*plan.status.unproven, Unproven(index, outcome.message)) if outcome.unproven else plan.status.unproven
    plan.enter_step(index + 1, unproven=unproven)
    if outcome.message:
        plan.tell("StepDone", f"step {index + 1}/{len(plan.seen.spec.steps)}: {outcome.message}")


def _view(plan: Plan) -> StepView:
    seen, status = plan.seen, plan.status
    held = next((metric for metric in seen.evidence.metrics if metric.held_back), None)
    nearest = seen.evidence.nearest
    plan.update(evidence=nearest.sentence() if nearest is not None else "")
    return StepView(
        elapsed=plan.now - (plan.now if status.step_started is None else status.step_started),
        canary_units=seen.step_units,
        min_units=seen.spec.analysis.advanced.min_units,
        on_timeout=seen.spec.analysis.on_timeout,
        suspicion=held.sentence() if held is not None else None,
        evidence=nearest.sentence() if nearest is not None else "nothing was seen",
        approved_by=status.approved_by or None,
        # a new attempt has no evidence yet; what was seen belongs to the one before it
        judged=seen.evidence if status.attempt == seen.status.attempt else NO_EVIDENCE,
    )


def _wait(plan: Plan, outcome: Wait) -> None:
    phase = Phase.PAUSED if outcome.for_person else Phase.WAITING if outcome.stuck else Phase.PROGRESSING
    phase = Phase.BAKING if outcome.baking else phase
    steps = len(plan.seen.spec.steps)
    if plan.status.reason != outcome.reason and outcome.for_person:
        plan.tell(outcome.reason, outcome.message)
    reason, said = outcome.reason, [outcome.message]
    if plan.seen.following and reason == "Analyzing" and plan.seen.sizing.written:
        reason = "RouterSlow"
        said.append(plan.seen.following)
        if plan.status.reason != reason:
            plan.tell(reason, plan.seen.following, warning=True)
    said += [sentence for sentence in (plan.seen.late, _advice(plan)) if sentence]
    plan.settle(phase, reason, f"step {plan.status.step + 1}/{steps}: {'; '.join(said)}")
    plan.again(outcome.again_in)


def _advice(plan: Plan) -> str:
    """Told once, when it begins."""
    advice = plan.seen.evidence.advice
    if advice and advice not in plan.status.message:
        plan.tell("MetricAdvises", advice, warning=True)
    return advice


def _promote(plan: Plan) -> None:
    """Full size was reached: weight, then Service NAME, and only then the old version's drain begins."""
    old, new = plan.status.stable, plan.status.canary
    if plan.seen.metric_trouble is not None and plan.seen.spec.analysis.metrics and not plan.status.full_by:
        hold(plan, plan.status.weight)
        return
    release_hold(plan)
    plan.set_weight(WHOLE)
    plan.point_service(new)
    proven = "NoMetrics" if not plan.seen.spec.analysis.metrics else "Unproven"
    if plan.seen.evidence.proven and not plan.status.unproven:
        proven = "Proven"
    if plan.status.full_by:
        proven = "PromotedByPerson"
    message = f"{new} took over from {old}; {plan.status.evidence or 'nothing was compared'}"
    if plan.status.run:
        plan.do(CloseRun("promoted", message))
    plan.tell("Promoted", message)
    plan.end_attempt(
        stable=new,
        previous=old,
        weight=0.0,
        judged=proven,
        drain_since=plan.now,
        evidence="",
    )
    keep_stable(plan)
