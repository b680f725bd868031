"""Where stable alone serves: at rest, and after a rollback."""

from __future__ import annotations

from controller.api.phase import Phase
from controller.api.status import KEPT, Rejection
from controller.rollout.actions import CloseRun
from controller.rollout.plan import Plan


def keep_stable(plan: Plan) -> None:
    """At rest. What was changed by hand is put back."""
    serve_stable(plan)
    settled = plan.retire_others(plan.status.stable)
    state = plan.seen.state(plan.status.stable)
    if not settled and plan.status.drain_since is not None:
        plan.settle(Phase.PROMOTING, "Draining", "the old version serves what is still open")
    elif not settled:
        plan.settle(Phase.ROLLING_BACK, "Returning", "the canary keeps its pods until the router has followed")
    elif plan.seen.spec.replicas > 0 and state.serving == 0:
        plan.settle(Phase.WAITING, "StableUnready", f"no pod of stable {plan.status.stable} serves")
    else:
        reason = plan.status.judged or "Promoted"
        plan.settle(Phase.HEALTHY, reason, f"{plan.status.stable} serves everything")
    plan.update(evidence="", step=0)


def stay_rolled_back(plan: Plan) -> None:
    """The spec still asks for a rejected revision: it gets no work, whoever asks."""
    serve_stable(plan)
    rejection = next(one for one in plan.status.rejected if one.revision == plan.seen.target)
    if plan.retire_others(plan.status.stable):
        plan.settle(Phase.ROLLED_BACK, rejection.reason, rejection.message)
    else:
        plan.settle(Phase.ROLLING_BACK, rejection.reason, rejection.message)
    plan.update(evidence=rejection.evidence)


def take_back(plan: Plan, verdict: str, message: str) -> None:
    """Everything to stable now, before anything else; the attempt is over."""
    plan.set_weight(0)
    if plan.status.run:
        plan.do(CloseRun(verdict, message))
    # also where nothing moved: the router may have been told a moment ago, by a decision whose status was lost
    plan.end_attempt(weight_since=plan.now, unproven=())


def reject(plan: Plan, reason: str, message: str) -> None:
    """A rollback: traffic first, and the revision stays rejected."""
    canary, step = plan.status.canary, plan.status.step
    rejection = Rejection(canary, reason, message, plan.status.evidence, plan.now)
    take_back(plan, "aborted" if reason == "Aborted" else "regression", message)
    plan.update(last_rollback=rejection, step=step)
    remember(plan, rejection)
    plan.tell(reason, f"{canary} rolled back: {message}", warning=True)


def remember(plan: Plan, rejection: Rejection) -> None:
    """A status has room for so many. The oldest is forgotten, never the one the spec asks for, and it is said."""
    rejected = [*plan.status.rejected, rejection]
    while len(rejected) > KEPT:
        oldest = next(one for one in rejected if one.revision not in (plan.seen.target, plan.seen.asked))
        rejected.remove(oldest)
        plan.tell("RejectionForgotten", f"{oldest.revision} was rejected so long ago that it may come out again")
    plan.update(rejected=tuple(rejected))


def serve_stable(plan: Plan) -> None:
    stable, replicas = plan.status.stable, plan.seen.spec.replicas
    plan.ensure_pods(stable, replicas, shrink=True)
    plan.set_weight(0)
    plan.point_service(stable)
