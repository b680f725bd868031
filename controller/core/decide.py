"""What should happen next: a pure function of what was observed and of the time.

It is level-triggered. It never asks what happened, only how things are and how they should be, so a crash between
any two actions, a lost event or a doubled one all end the same.
"""

from __future__ import annotations

from controller.api.phase import Phase
from controller.core.actions import RemoveFinalizer
from controller.core.going_back import go_back
from controller.core.observation import Observation
from controller.core.plan import Decision, Plan
from controller.core.requests import take_requests
from controller.core.rollout import go_on, stand_still
from controller.core.stable import first_deployment, keep_stable, stay_rolled_back, take_back
from controller.core.succession import line_up


def decide(seen: Observation, now: float) -> Decision:
    """Actions in the order in which they must happen, the status once they have, and when to look again."""
    plan = Plan(seen, now)
    told = take_requests(plan)
    if seen.deleting:
        _let_go(plan)
    elif seen.manual_until is not None and now < seen.manual_until:
        plan.again(seen.manual_until - now)
        plan.settle(Phase.PAUSED, "Manual", "a person has the route in hand (annotation pointsman.dev/manual)")
    elif go_back(plan):
        if seen.spec.suspend:
            stand_still(plan)
        else:
            _choose(plan)
    if not seen.deleting:
        line_up(plan)
    for reason, message in told:
        plan.tell(reason, message)
    return plan.decision()


def withdraw(seen: Observation, now: float, problem: str) -> Decision:
    """For a spec that cannot be meant, of which only pods and traffic could be read: nobody can judge the canary by
    it, so its work goes back to stable. Nothing is rejected; a mended spec goes on where it was.
    """
    plan = Plan(seen, now)
    if seen.deleting:
        _let_go(plan)
    else:
        if plan.status.stable:
            plan.set_weight(0)
        plan.settle(Phase.INVALID, "Invalid", problem)
    return plan.decision()


def _choose(plan: Plan) -> None:
    seen, status = plan.seen, plan.status
    if not status.stable:
        first_deployment(plan)
    elif status.is_rejected(seen.target):
        if status.canary:
            take_back(plan, "superseded", "the rejected revision was asked for again")
        stay_rolled_back(plan)
    elif seen.target != status.stable:
        go_on(plan)
    else:
        if status.canary:
            take_back(plan, "superseded", "the spec asks for the stable version again")
        keep_stable(plan)


def _let_go(plan: Plan) -> None:
    """Deleting: everything to stable first, then the finalizer goes, and the garbage collector does the rest."""
    status = plan.status
    if status.stable and plan.seen.weights is not None:
        plan.set_weight(0)
    if plan.seen.finalizer:
        plan.do(RemoveFinalizer())
    plan.settle(Phase.PROGRESSING, "Deleting", "traffic is at stable; objects are being removed")
