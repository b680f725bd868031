"""A canary that has work and loses its pods: no work without them, and no new time for coming back now and then."""

from __future__ import annotations

from controller.api.phase import Phase
from controller.rollout.plan import Plan

_STEADY_S = 120.0
"""Ready for so long, a canary that lost its pods is trusted again. A probe as Kubernetes sets it needs 40 s for one
turn from ready to unready and back: what turns like that again and again is never steady.
"""


def leave_the_dead(plan: Plan) -> None:
    """A canary with weight and no pod that serves, as EndpointSlices show it: the router's own 503s then belong to
    no version and would never convict it. Before anything that might fail.
    """
    seen, status = plan.seen, plan.status
    has_work = status.weight > 0 or (seen.weights or {}).get(status.canary, 0) > 0
    if has_work and seen.state(status.canary).serving == 0 and seen.spec.replicas > 0:
        moved = plan.set_weight(0)
        if status.weight > 0:
            plan.update(unready_since=status.unready_since or plan.now, held_since=status.held_since or plan.now)
        if moved:  # else somebody else sends it work, and the router is left to them for now
            plan.tell("CanaryUnready", f"no pod of {status.canary} serves: its work went to stable", warning=True)
            plan.settle(Phase.WAITING, "CanaryUnready", f"no pod of {status.canary} serves")


def trust_the_steady(plan: Plan) -> None:
    """A canary that lost its pods and is back is given the whole deadline again, once it has been steady."""
    status = plan.status
    if status.unready_since is None or status.weight_since is None or status.weight == 0:
        return
    left = status.weight_since + min(_STEADY_S, plan.seen.spec.progress_deadline) - plan.now
    if left > 0:
        plan.again(left)
    else:
        plan.update(unready_since=None)
