"""What should happen next: a pure function of what was observed and of the time.

It is level-triggered. It never asks what happened, only how things are and how they should be, so a crash between
any two actions, a lost event or a doubled one all end the same.
"""

from __future__ import annotations

from collections.abc import Iterator

from controller.api.phase import Phase
from controller.rollout import contention
from controller.rollout.actions import RemoveFinalizer
from controller.rollout.canary import go_on, stand_still
from controller.rollout.first import first_deployment
from controller.rollout.manual_rollback import go_back
from controller.rollout.observation import Observation
from controller.rollout.plan import Decision, Plan
from controller.rollout.requests import Telling, take_requests
from controller.rollout.stable import keep_stable, stay_rolled_back, take_back
from controller.rollout.succession import line_up


def decide(seen: Observation, now: float) -> Decision:
    """Actions in the order in which they must happen, the status once they have, and when to look again."""
    plan = Plan(seen, now)
    told = [*_enter_a_step_that_is_left(plan), *take_requests(plan)]
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
        _say_who_else_writes(plan)
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
        # how many there were is what tells, once it is mended, whether all of them were done
        plan.update(steps=seen.status.steps)
        plan.settle(Phase.INVALID, "Invalid", problem)
    return plan.decision()


def _enter_a_step_that_is_left(plan: Plan) -> Iterator[Telling]:
    """Steps went from the spec while one of them was under way: those that are left are not done by that."""
    before, left = plan.seen.status, len(plan.seen.spec.steps)
    if before.canary and not before.full_by and 0 < left <= before.step < before.steps:
        plan.enter_step(left - 1)
        yield "StepsChanged", f"{before.canary} was at step {before.step + 1}, now it is at the last of {left}"


def _say_who_else_writes(plan: Plan) -> None:
    """What is waited for already keeps its reason, which other decisions hang on, and gets the sentence too."""
    if not plan.contended or plan.status.reason == contention.REASON:
        return
    sentence = contention.sentence(plan.status.route_edits)
    if plan.status.phase in (Phase.PENDING, Phase.PROGRESSING, Phase.PROMOTING, Phase.HEALTHY):
        plan.settle(Phase.WAITING, contention.REASON, sentence)
    else:
        plan.update(message=f"{plan.status.message}; {sentence}")


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
