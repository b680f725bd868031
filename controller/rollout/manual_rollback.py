"""A person leaves the stable version for an older one.

As in every change of traffic the pods come first: the older version is small or gone. Only where stable serves
nothing, nothing is waited for. Then the work moves, and the version that was left is rejected, so that a spec that
still asks for it does not bring it back.
"""

from __future__ import annotations

from controller.api.phase import Phase
from controller.api.status import Rejection
from controller.rollout.plan import Plan
from controller.rollout.stable import remember

REASON = "RolledBackByPerson"


def go_back(plan: Plan) -> bool:
    """False while the older version is awaited, with the phase set."""
    status, seen = plan.status, plan.seen
    leaving, older = status.stable, status.returning
    if not older:
        return True
    replicas = seen.spec.replicas
    plan.ensure_pods(older, replicas)
    serving = seen.state(older).serving
    if serving < replicas and seen.state(leaving).serving > 0:
        since = plan.now if status.returning_since is None else status.returning_since
        left = since + seen.spec.progress_deadline - plan.now
        if left > 0:
            plan.set_weight(0)
            plan.point_service(leaving)
            plan.again(left)
            found = f"{serving} of {replicas} pods of {older} serve, then the work goes there"
            plan.settle(Phase.ROLLING_BACK, REASON, f"{found} ({status.returning_why})")
            return False
        found = f"{serving} of {replicas} pods of {older} serve after {seen.spec.progress_deadline:.0f} s"
        plan.tell("RollbackGivenUp", f"{leaving} keeps the work: {found}", warning=True)
        _forget(plan)
        return True
    rejection = Rejection(leaving, REASON, status.returning_why, "", plan.now)
    plan.update(
        stable=older,
        previous="",
        judged=REASON,
        last_rollback=rejection,
        drain_since=plan.now,
        weight_since=plan.now,
    )
    plan.set_weight(0)
    plan.point_service(older)
    remember(plan, rejection)
    plan.tell(REASON, f"{older} took over from {leaving}: {rejection.message}", warning=True)
    _forget(plan)
    return True


def _forget(plan: Plan) -> None:
    plan.update(returning="", returning_why="", returning_since=None)
