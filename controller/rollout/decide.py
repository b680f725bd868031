"""What should happen next: a pure function of what was observed and of the time.

Requests, then guards, then the strategy say what should be; `converge` says how to get there. All of it is
level-triggered: it never asks what happened, only how things are and how they should be, so a crash between any two
actions, a lost event or a doubled one all end the same.
"""

from __future__ import annotations

from controller.api.phase import Phase
from controller.api.reasons import Reason
from controller.rollout import adoption
from controller.rollout.alerts import keep_alerts
from controller.rollout.at_stable import at_rest, rolled_back
from controller.rollout.converge import Decision, converge
from controller.rollout.desired import Desired, Summary
from controller.rollout.draft import Draft
from controller.rollout.first import first_deployment, forget_a_lost_stable
from controller.rollout.guards import first_that_decides
from controller.rollout.lost_status import find_stable_again
from controller.rollout.observation import Observation
from controller.rollout.recorded import wait_for_record
from controller.rollout.rejection import end_attempt
from controller.rollout.requests import take_requests
from controller.rollout.traffic import WHOLE
from controller.rollout.walker import walk


def decide(seen: Observation, now: float) -> Decision:
    """Actions in the order in which they must happen, the status, and when to look again."""
    draft = Draft(seen, now)
    _enter_a_step_that_is_left(draft)
    forget_a_lost_stable(draft)
    find_stable_again(draft)
    take_requests(draft)
    if _are_steps_of_before(draft):
        _start_anew(draft)
    keep_alerts(draft)
    adoption.note(draft)
    if draft.status.attempt is not None:
        draft.update_attempt(awaits_person=False)
    draft.again(min((one.unreached_s for one in seen.revisions.values() if one.unreached_s > 0), default=None))
    return converge(draft, first_that_decides(draft) or _by_strategy(draft))


def withdraw(seen: Observation, now: float, problem: str) -> Decision:
    """For a spec that cannot be meant, of which only pods and traffic could be read: nobody can judge the canary by
    it, so its work goes back to stable. Nothing is rejected; a mended spec goes on where it was.
    """
    draft = Draft(seen, now)
    # how many steps there were tells, once the spec is mended, whether all of them were done
    draft.update(steps=seen.status.steps)
    summary = Summary(Phase.INVALID, Reason.INVALID, problem)
    stable = draft.status.stable
    if stable and draft.status.on_trial:
        draft.stop_clock()  # a step without a weight would be over by its time, with nothing seen
    to_stable = Desired(summary, weight=0.0 if stable else None, service=stable, hands_off=True)
    return converge(draft, (first_that_decides(draft) if seen.deleting else None) or to_stable)


def _by_strategy(draft: Draft) -> Desired:
    status, target = draft.status, draft.seen.target
    if not status.stable:
        return wait_for_record(draft) or first_deployment(draft)
    if status.is_rejected(target):
        return rolled_back(draft)
    return at_rest(draft) if status.attempt is None else walk(draft)


def _keep_the_switch_in_its_place(draft: Draft) -> None:
    """Steps before a switch came or went. By its index alone the next one might be the switch, with nothing passed; or
    what is switched might be at a step before that.
    """
    before, left = draft.seen.status, len(draft.seen.spec.steps)
    if before.full_by or not before.steps or left == before.steps or _are_steps_of_before(draft):
        return
    step = left - 1 if before.weight >= WHOLE else 0
    draft.enter_step(step)
    draft.event("StepsChanged", f"{before.canary} is at step {step + 1}: spec has {left} steps now, not {before.steps}")


def _are_steps_of_before(draft: Draft) -> bool:
    """Steps before a switch came or went after it, and the work is back at stable: they judge another time than its."""
    before, attempt = draft.seen.status, draft.status.attempt
    changed = before.steps not in (0, len(draft.seen.spec.steps))
    switched = attempt is not None and attempt.switched and before.weight < WHOLE and not attempt.full_by
    return changed and switched and draft.seen.spec.strategy.switches


def _start_anew(draft: Draft) -> None:
    """Each attempt has one switch, and one record of each side of it. Requests come first: none is lost by an edit."""
    canary, left = draft.status.canary, len(draft.seen.spec.steps)
    message = f"spec has {left} steps now, not {draft.seen.status.steps}, and the work of {canary} is back at stable"
    draft.replaced = canary
    draft.event("StepsChanged", f"{canary} starts at the first step again, with an analysis of its own: {message}")
    end_attempt(draft, "superseded", message)


def _enter_a_step_that_is_left(draft: Draft) -> None:
    """Steps went from the spec while one of them was under way: those that are left are not done by that."""
    before, left = draft.seen.status, len(draft.seen.spec.steps)
    if before.attempt is not None and before.stable and draft.seen.spec.strategy.switches:
        _keep_the_switch_in_its_place(draft)
        return
    if before.attempt is not None and not before.full_by and 0 < left <= before.step < before.steps:
        draft.enter_step(left - 1)
        message = (
            f"{before.canary} was at step {before.step + 1}; spec has fewer steps now, so it is at the last one, {left}"
        )
        draft.event("StepsChanged", message)
