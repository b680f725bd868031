"""A new version on its way: capacity, then weight, then steps; promotion comes last.

Strategies compile to steps, and this is what passes them, whichever strategy they are of.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from controller.api.phase import Phase
from controller.api.reasons import Reason
from controller.api.status import Unproven
from controller.rollout import baseline, holds
from controller.rollout.actions import PROMOTED
from controller.rollout.at_stable import at_rest, rolled_back
from controller.rollout.capacity import awaited, carried, lacks_pods, overdue
from controller.rollout.desired import Desired, Pods, Summary
from controller.rollout.draft import Draft
from controller.rollout.observation import Observation
from controller.rollout.rejection import reject
from controller.rollout.sizing import Sizing
from controller.rollout.step import Done, Fail, Step, StepView, Wait
from controller.rollout.traffic import WHOLE, move, preview_at, serving
from controller.stats.evidence import ADVISES, NO_EVIDENCE, Evidence


def walk(draft: Draft) -> Desired:
    seen, status = draft.seen, draft.status
    if seen.spec.replicas == 0 and (seen.spec.analysis.judging or _had_pods(draft)):
        return _at_zero(draft)
    baseline.follow_spec(draft)
    _show_evidence(draft)
    weight = _wanted_weight(draft)
    if holds.caps(draft):
        weight = min(weight, draft.in_force)
    if lacks_pods(draft, weight):
        if weight == 0:
            _notice_the_last_pod(draft)
        failed = overdue(draft, weight)
        if failed:
            reject(draft, Reason.DEADLINE_EXCEEDED, failed)
            return rolled_back(draft)
        return _track(draft, weight, status.weight, awaited(draft, weight))
    draft.update_attempt(start_blocked=False)
    if weight == 0:
        draft.update_clock(unready_since=None)  # callers notice nothing of a version without work that flaps
    splits = seen.sizing is Sizing.BY_PODS and not seen.spec.strategy.switches
    if splits and status.weight == 0 and len(seen.revisions) > 2:  # noqa: PLR2004 - stable, canary
        # Service NAME selects all pods there are, so a version that is leaving would get work again
        message = "waiting until an older version is deleted"
        return _track(draft, weight, 0.0, Summary(Phase.PROGRESSING, Reason.DRAINING, message))
    if draft.replaced:
        # a pass that moves work down and up again undoes itself whenever the operator dies before its status
        draft.again(0)
        message = f"{draft.replaced} no longer has traffic; {status.canary} is ready for its first step"
        return _track(draft, weight, 0.0, Summary(Phase.PROGRESSING, draft.words.starting, message))
    return _pass_steps(draft, weight)


def _notice_the_last_pod(draft: Draft) -> None:
    """A version that is judged without work has lost its last pod: its deadline begins now, not hours ago."""
    clock = draft.attempt.clock
    ready = draft.seen.state(draft.status.canary).serving > 0
    if not ready and clock.step_entered is not None and clock.unready_since is None:
        draft.update_clock(unready_since=draft.now)


def weight_at(steps: tuple[Step, ...], index: int) -> float:
    """Percent in force at a step: that of the last step up to it that sets one."""
    weights = [item.weight for item in steps[: index + 1] if item.weight is not None]
    return float(weights[-1]) if weights else 0.0


def _wanted_weight(draft: Draft) -> float:
    steps = draft.seen.spec.steps
    return WHOLE if draft.status.step >= len(steps) else weight_at(steps, draft.status.step)


def _track(draft: Draft, sized_for: float, weight: float, summary: Summary) -> Desired:
    """The canary has pods for one weight, and stable for what the canary is given. A baseline goes with the canary."""
    seen, status = draft.seen, draft.status
    size = seen.spec.strategy.sizes
    canary = size(seen.sizing, seen.spec.replicas, carried(draft, sized_for)).canary
    stable = size(seen.sizing, seen.spec.replicas, weight).stable
    return Desired(
        summary,
        weight=weight,
        baseline=baseline.weight_beside(draft, weight),
        pods={
            status.canary: Pods(canary, shrink=seen.sizing is Sizing.BY_PODS),
            status.stable: Pods(stable, shrink=True),
            **baseline.pods_beside(draft, sized_for, weight),
        },
        service=serving(draft, weight),
        preview=preview_at(draft, status.step),
        kept=_kept(draft),
    )


def _kept(draft: Draft) -> frozenset[str]:
    status = draft.status
    return frozenset({status.stable, status.canary, status.baseline} - {""})


def _had_pods(draft: Draft) -> bool:
    """In this attempt: one that is at zero from its beginning, and compares nothing, has nothing to wait for."""
    scaled_up = draft.status.scaled_up
    return scaled_up is not None and scaled_up >= draft.attempt.clock.began


def _at_zero(draft: Draft) -> Desired:
    """Scaled to zero, nothing can be compared, and the unjudged version must not be the one that comes back."""
    status = draft.status
    summary = Summary(Phase.WAITING, Reason.SCALED_TO_ZERO, "spec.replicas is 0: there is no work to judge by")
    return Desired(
        summary,
        weight=0.0,
        pods={one: Pods(0, shrink=True) for one in (status.canary, status.baseline, status.stable) if one},
        service=status.stable,
        preview=preview_at(draft, -1),
        kept=_kept(draft),
    )


def _pass_steps(draft: Draft, sized_for: float) -> Desired:
    """As many steps as can be passed now. A weight that moves ends the walk: it is in force before it is judged."""
    steps = draft.seen.spec.steps
    hold = holds.held(draft, _wanted_weight(draft))
    if hold is not None:
        return _track(draft, sized_for, *hold)
    if draft.status.step >= len(steps):
        return _promote(draft) if draft.seen.status.baseline_weight <= 0 else _leave_baseline(draft)
    moved, weight = False, 0.0
    while draft.status.step < len(steps):
        weight = weight_at(steps, draft.status.step)
        moved = moved or _starts(draft, weight)
        summary = _advance(draft, steps, weight)
        if draft.status.attempt is None:
            return rolled_back(draft)
        if summary is not None:
            return _track(draft, sized_for, weight, summary)
    draft.again(0)
    return _track(draft, sized_for, weight, Summary(Phase.PROMOTING, Reason.STEPS_DONE, "all steps are done"))


def _leave_baseline(draft: Draft) -> Desired:
    """Its work goes to stable before the promotion, which keeps neither of them."""
    draft.again(0)
    message = f"all steps are done; baseline {draft.status.baseline} gives its work back"
    summary = Summary(Phase.PROMOTING, Reason.STEPS_DONE, message)
    return replace(_track(draft, WHOLE, draft.in_force, summary), baseline=0.0)


def _starts(draft: Draft, weight: float) -> bool:
    """The clock of a step runs from the moment its weight is given, unless the canary, or its baseline, only lost its
    pods meanwhile.

    The first step is given nothing where it sets no weight: it begins when the pods are there.
    """
    clock, index = draft.attempt.clock, draft.status.step
    returns = (
        clock.unready_since is not None and clock.step_started is not None and clock.step_started <= clock.unready_since
    )
    draft.run_clock()
    if clock.first_step is None:
        draft.update_clock(first_step=draft.now)
    if clock.step_entered is None:
        draft.update_clock(step_started=draft.now, step_entered=draft.now)
    beside = baseline.weight_beside(draft, weight)
    if not move(draft, weight, beside).changes:
        return False
    goes_on = returns or (draft.status.weight == weight and draft.status.baseline_weight != beside)
    steps = len(draft.seen.spec.steps)
    moved = f"{weight:g} % of the work on {draft.status.canary}"
    if beside:
        moved += f", {beside:g} % on {draft.status.baseline}, its baseline of new pods of {draft.status.stable}"
    if draft.seen.spec.strategy.switches and weight >= WHOLE:
        moved = f"all of the work moves from {draft.status.stable} to {draft.status.canary}"
        _leave_the_preview(draft)
    draft.event("Weight", f"step {index + 1}/{steps}: {moved}")
    if not goes_on:
        draft.update_clock(step_started=draft.now, step_entered=draft.now)
    return True


def _leave_the_preview(draft: Draft) -> None:
    """The looks that follow are another record's: what a person let pass of the first one stands in the status."""
    if not draft.attempt.switched:
        _note_what_was_let_pass(draft, draft.status.step)
    draft.update_attempt(switched=True, approved_by="")


def _note_what_was_let_pass(draft: Draft, step: int) -> None:
    by, suspicion = draft.attempt.approved_by, draft.seen.evidence.held_back
    if by and suspicion is not None:
        said = f"approved by {by}, though {suspicion.sentence()}"
        draft.update(unproven=(*draft.status.unproven, Unproven(step, said)))


def _advance(draft: Draft, steps: tuple[Step, ...], weight: float) -> Summary | None:
    """Asks the step under way; None: the next one can be asked, or the attempt is over."""
    index = draft.status.step
    outcome = steps[index].advance(_view(draft))
    match outcome:
        case Wait():
            return _wait(draft, outcome)
        case Fail():
            reject(draft, outcome.reason, outcome.message)
            return None
        case Done():
            _next_step(draft, outcome)
            if index + 1 < len(steps) and weight_at(steps, index + 1) != weight:
                # more weight may need more pods, which the next decision sees to
                draft.again(0)
                over = outcome.message or f"{weight:g} % of the work on {draft.status.canary}"
                return Summary(Phase.PROGRESSING, Reason.NEXT_STEP, over)
            return None
        case _:
            assert_never(outcome)


def _next_step(draft: Draft, outcome: Done) -> None:
    index = draft.status.step
    if outcome.unproven:
        draft.update(unproven=(*draft.status.unproven, Unproven(index, outcome.message)))
    draft.enter_step(index + 1)
    if outcome.message:
        draft.event("StepDone", f"step {index + 1}/{len(draft.seen.spec.steps)}: {outcome.message}")


def _show_evidence(draft: Draft) -> None:
    nearest = draft.seen.evidence.nearest
    if draft.status.attempts == draft.seen.status.attempts:
        draft.update(evidence=nearest.sentence() if nearest is not None else "")
        if draft.seen.cold_start:
            draft.announce("BaselineWorse", draft.seen.cold_start, warning=False)
        if draft.status.step < len(draft.seen.spec.steps):  # the pass that promotes says it in its own words
            _announce_advice(draft)


def _announce_advice(draft: Draft) -> None:
    """Also while a person pauses, or metrics are out: it is news whenever it comes."""
    seen = draft.seen
    for metric in seen.evidence.metrics:
        if metric.overdispersed and not metric.advises:
            draft.announce("MetricAdvises", metric.scatter(), about=metric.name)
    for metric in seen.evidence.reported:
        found = metric.explanation(seen.evidence.looks, draft.words.trial)
        draft.announce("MetricWorse", f"{found}; {ADVISES}", about=metric.name)
    if seen.unmeasured:
        draft.announce("MetricUnmeasured", seen.unmeasured)


def _view(draft: Draft) -> StepView:
    seen, status = draft.seen, draft.status
    same = status.attempts == seen.status.attempts
    held = seen.evidence.held_back
    nearest = seen.evidence.nearest
    started = draft.attempt.clock.step_started
    return StepView(
        elapsed=0.0 if started is None else draft.now - started,
        canary_units=seen.step_units,
        min_units=seen.spec.analysis.advanced.min_units,
        on_timeout=seen.spec.analysis.on_timeout,
        suspicion=held.sentence() if held is not None else None,
        evidence=nearest.sentence() if nearest is not None else "nothing was seen",
        approved_by=draft.attempt.approved_by or None,
        # a new attempt has no evidence yet; what was seen belongs to the one before it
        judged=seen.evidence if same else NO_EVIDENCE,
        effects=seen.effects,
        stable=status.stable,
        canary=status.canary,
        attempt=status.attempts,
        step=status.step,
        weight=weight_at(seen.spec.steps, status.step),
        stable_pods=(seen.state(status.stable).serving, seen.spec.replicas),
        canary_pods=(seen.state(status.canary).serving, seen.spec.replicas),
        compares=not seen.evidence.looks or _could_say_no(seen.evidence),
        unlooked=max(0.0, draft.now - seen.awaited_until) if same and seen.awaited_until is not None else 0.0,
    )


def _wait(draft: Draft, outcome: Wait) -> Summary:
    seen, status = draft.seen, draft.status
    reason, said = outcome.reason, [outcome.message]
    draft.update_attempt(awaits_person=outcome.approvable)
    if outcome.phase is Phase.PAUSED:
        draft.announce(outcome.reason, outcome.message, about=str(status.step), warning=False)
    analyzes = outcome.phase is Phase.PROGRESSING and seen.spec.steps[status.step].analyzes
    if seen.share_lag and analyzes and seen.sizing.written:
        reason = Reason.ROUTER_SLOW
        said.append(seen.share_lag)
        draft.announce(reason, seen.share_lag)
    said += [sentence for sentence in (seen.cold_start, seen.late, seen.evidence.advice, seen.unmeasured) if sentence]
    draft.again(outcome.again_in)
    draft.effects.extend(outcome.effects)
    return Summary(outcome.phase, reason, f"step {status.step + 1}/{len(seen.spec.steps)}: {'; '.join(said)}")


def _was_watched(seen: Observation) -> bool:
    """After the switch: enough units, and a metric that could have said no."""
    evidence = seen.evidence
    return _could_say_no(evidence) and evidence.canary_units >= seen.spec.analysis.advanced.min_units


def _could_say_no(evidence: Evidence) -> bool:
    return any(metric.edge is not None or metric.limit is not None for metric in evidence.judging)


def _promote(draft: Draft) -> Desired:
    """Full size was reached: the new version is stable, and the old one's drain begins."""
    seen, old, new = draft.seen, draft.status.stable, draft.status.canary
    draft.run_clock()
    _note_what_was_let_pass(draft, len(seen.spec.steps) - 1)
    if draft.attempt.full_by:
        judged = Reason.PROMOTED_BY_PERSON
    elif seen.evidence.proven and not draft.status.unproven:
        judged = Reason.PROVEN
    elif seen.spec.strategy.switches and _was_watched(seen):
        judged = Reason.SWITCH_KEPT
    else:
        judged = Reason.UNPROVEN if seen.spec.analysis.judging else Reason.NO_METRICS
    message = f"{new} took over from {old}; {draft.status.evidence or 'no comparison was made'}"
    if seen.evidence.reported:
        message += f"; {seen.evidence.advice}"
    draft.close_run(PROMOTED, message)
    draft.event("Promoted", message)
    draft.update(
        stable=new,
        previous=old,
        attempt=None,
        stopped_at=0,
        weight=0.0,
        weight_since=draft.now,
        judged=judged,
        drain_since=draft.now,
        evidence="",
    )
    return at_rest(draft)
