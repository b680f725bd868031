"""The first version: there is none to compare it with, and none to go back to.

Readiness decides whether it gets the work. Where the spec has a bake, and limits, it has to keep to them that long
before it is trusted. A version that does not keeps the work, for nobody else could do it, and a person has to decide.
"""

from __future__ import annotations

from controller.api.phase import Phase
from controller.rollout.actions import CloseRun
from controller.rollout.bake import Bake
from controller.rollout.outage import hold, release_hold
from controller.rollout.plan import WHOLE, Plan
from controller.rollout.sizing import Sizing
from controller.rollout.stable import keep_stable

BROKEN = "LimitExceeded"
"""Reason of a first version that is not trusted."""


def first_deployment(plan: Plan) -> None:
    """`judged` says in the end what decided, and where it was readiness alone."""
    seen = plan.seen
    if plan.status.canary != seen.target:
        _begin(plan)
    serving = _tidy(plan)
    plan.ensure_pods(seen.target, seen.spec.replicas, shrink=True)
    _name_to_consumers(plan)
    if not _has_pods(plan):
        return
    plan.set_weight(WHOLE)
    plan.point_service(seen.target)
    if serving and plan.status.drain_since is None:
        plan.update(drain_since=plan.now)
    judged = _judged(plan)
    if judged:
        _trust(plan, judged)


def _begin(plan: Plan) -> None:
    before, new = plan.status.canary, plan.seen.target
    if plan.status.run:
        plan.do(CloseRun("superseded", f"{new} was asked for instead of {before}"))
    attempt = plan.status.attempt + (_trial(plan) is not None)
    plan.end_attempt(weight=0.0, evidence="", unproven=(), attempt=attempt, drain_since=None)
    plan.update(canary=new, canary_since=plan.now)
    plan.tell("FirstDeployment", f"deploying {new}: there is no version to compare it with")


def _tidy(plan: Plan) -> bool:
    """The ones before it were never trusted. One that serves waits for its successor, and for what is still open.

    True while there is such a one.
    """
    seen = plan.seen
    others = [revision for revision in seen.revisions if revision != seen.target]
    serving = [one for one in others if one == seen.service or (seen.weights or {}).get(one)]
    if not serving and plan.status.drain_since is not None:
        plan.retire_others(seen.target)
        return False
    for revision in others:
        if revision not in serving:
            plan.retire(revision)
    return bool(serving)


def _name_to_consumers(plan: Plan) -> None:
    """Consumers take nothing before they are named, and need not be ready to take work. One that serves keeps it."""
    seen = plan.seen
    if seen.sizing is not Sizing.BY_CLAIMS:
        return
    named = [one for one, share in (seen.weights or {}).items() if share > 0]
    if seen.target not in named and not any(seen.state(one).serving for one in named):
        plan.name_alone(seen.target)


def _has_pods(plan: Plan) -> bool:
    seen, on_trial = plan.seen, plan.status.step_started is not None
    state, wanted = seen.state(seen.target), seen.spec.replicas
    if state.serving >= wanted or (on_trial and state.serving > 0):
        return True
    if state.trouble is not None:
        plan.settle(Phase.WAITING, state.trouble.reason, state.trouble.message)
    else:
        phase = Phase.WAITING if on_trial else Phase.PENDING
        plan.settle(phase, "Starting", f"{state.serving} of {wanted} pods of {seen.target} serve")
    if on_trial:
        plan.stop_the_clock()
    return False


def _judged(plan: Plan) -> str:
    """How it came to be trusted; empty while it is not."""
    seen, status = plan.seen, plan.status
    if status.full_by:
        return "PromotedByPerson"
    bake = _trial(plan)
    if bake is None:
        return "FirstDeployment"
    if status.step_started is None:
        plan.enter_step(len(seen.spec.steps) - 1)
        plan.tell("Baking", f"{seen.target} has all of the work, and has to keep to its limits for {bake.seconds:g} s")
    return _keeps_to_its_limits(plan, bake)


def _trial(plan: Plan) -> Bake | None:
    """What it has to pass, where there is something to judge it by."""
    spec = plan.seen.spec
    bake = spec.steps[-1] if spec.steps else None
    limited = any(metric.limit is not None for metric in spec.analysis.metrics)
    return bake if isinstance(bake, Bake) and limited and spec.replicas > 0 else None


def _keeps_to_its_limits(plan: Plan, bake: Bake) -> str:
    seen = plan.seen
    nearest = seen.evidence.nearest
    plan.update(evidence=nearest.sentence() if nearest is not None else "")
    guilty = seen.evidence.regression
    if guilty is not None:
        if plan.status.reason != BROKEN:
            plan.tell(BROKEN, guilty.conviction(seen.evidence.looks), warning=True)
        plan.update(evidence=guilty.sentence())
        way_out = "there is no version to go back to: commit a better one, or accept this one with `promote --full`"
        plan.settle(Phase.PAUSED, BROKEN, f"{guilty.conviction(seen.evidence.looks)}; {way_out}")
        return ""
    if seen.metric_trouble is not None:
        hold(plan, WHOLE)
        return ""
    release_hold(plan)
    left = bake.seconds - (plan.now - (plan.status.step_started or plan.now))
    suspicion = next((metric for metric in seen.evidence.metrics if metric.held_back), None)
    if left > 0:
        plan.settle(Phase.BAKING, "Baking", f"{seen.target} has to keep to its limits for {bake.seconds:g} s")
        plan.again(left)
        return ""
    if suspicion is not None:
        plan.settle(Phase.WAITING, "Suspicious", f"not trusted yet: {suspicion.sentence()}")
        return ""
    return "LimitsKept" if seen.evidence.canary_units >= seen.spec.analysis.advanced.min_units else "FirstDeployment"


def _trust(plan: Plan, judged: str) -> None:
    new = plan.status.canary
    if plan.status.run:
        plan.do(CloseRun("promoted", f"{new}, the first version; {plan.status.evidence or 'no work was seen'}"))
    plan.end_attempt(stable=new, weight=0.0, judged=judged, evidence="")
    keep_stable(plan)
