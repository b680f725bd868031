"""While nobody can see what the canary does: no step goes on, no weight rises, nobody is blamed, and clocks stop."""

from __future__ import annotations

from controller.api.phase import Phase
from controller.rollout.plan import Plan


def hold(plan: Plan, weight: float) -> None:
    """The metrics are out: no step goes on, no weight rises, and nobody is blamed."""
    trouble = plan.seen.metric_trouble
    if trouble is None:
        return
    plan.stop_the_clock()
    if plan.status.reason != trouble.reason:
        plan.tell(trouble.reason, trouble.message, warning=True)
    outage, left = plan.seen.spec.analysis.on_outage, 0.0
    if plan.status.held_since is not None:
        left = plan.status.held_since + outage.wait_at_most - plan.now
    to_stable = outage.to_stable and plan.status.stable != ""
    if to_stable and left <= 0:
        plan.set_weight(0)
        # what was passed without being watched for so long is entered again
        plan.update(step=max(0, min(plan.status.step, len(plan.seen.spec.steps) - 1)))
        message = f"{trouble.message}; the canary gets no work until data are back"
    else:
        plan.set_weight(min(weight, plan.status.weight))
        message = trouble.message
        plan.again(left if to_stable else None)
    plan.settle(Phase.WAITING, trouble.reason, message)


def release_hold(plan: Plan) -> None:
    held, started = plan.status.held_since, plan.status.step_started
    if held is None:
        return
    plan.update(held_since=None, step_started=None if started is None else started + plan.now - max(held, started))
    plan.tell("ClockRuns", f"the step's clock stood still for {plan.now - held:.0f} s and runs again")
