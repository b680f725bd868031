"""The first version: there is none to compare it with, and none to go back to.

Readiness decides whether it gets the work. Where the spec has a bake, or a switch, and limits, it has to keep to them
that long before it is trusted. A version that does not keeps the work, as no other version could do it, and a person
decides.
"""

from __future__ import annotations

from dataclasses import replace

from controller.api.phase import Phase
from controller.api.reasons import Reason
from controller.api.status import Attempt, Clock
from controller.rollout import adoption
from controller.rollout.actions import PROMOTED
from controller.rollout.at_stable import at_rest
from controller.rollout.bake import Bake
from controller.rollout.desired import Desired, Pods, Summary
from controller.rollout.draft import Draft
from controller.rollout.holds import out_of_sight
from controller.rollout.sizing import Sizing
from controller.rollout.step import ROUNDING_S
from controller.rollout.switch import Switch
from controller.rollout.traffic import WHOLE


def forget_a_lost_stable(draft: Draft) -> None:
    """A stable version that somebody deleted with its template: the last pass could not make it again. There is nothing
    left to compare with, or to go back to, and callers are sent where nobody answers. So the version that is asked for
    is deployed like a first one, but one that was rejected, which waits for a person.
    """
    seen, stable = draft.seen, draft.status.stable
    blocked = seen.status.blocked
    lost = blocked is not None and blocked.reason == Reason.STABLE_LOST and blocked.revision == stable
    if not lost or seen.state(stable).exists or draft.status.is_rejected(seen.target):
        return
    draft.close_run("superseded", f"stable {stable} was lost")
    draft.update(stable="", attempt=None, weight=0.0)
    message = (
        f"stable {stable} was deleted with its ControllerRevision: there is nothing to compare with or to go back to, "
        f"so {seen.target} is deployed like a first version"
    )
    draft.event(Reason.STABLE_LOST, message, warning=True)


def first_deployment(draft: Draft) -> Desired:
    """`judged` says in the end what decided, and where it was readiness alone."""
    if draft.status.canary != draft.seen.target:
        _begin(draft)
    lost = adoption.lost(draft)
    if lost is not None:
        return lost
    waiting = _awaited(draft)
    if waiting is not None:
        return _without_work(draft, waiting)
    if (_serving_before(draft) or adoption.is_adopting(draft)) and draft.status.drain_since is None:
        draft.update(drain_since=draft.now)
    judged = _judged(draft)
    if isinstance(judged, Summary):
        return _with_all_work(draft, judged)
    new = draft.status.canary
    draft.close_run(PROMOTED, f"{new}, the first version; {draft.status.evidence or 'no requests were seen'}")
    unused = frozenset(_others(draft)) - frozenset(_serving_before(draft))
    draft.update(stable=new, attempt=None, weight=0.0, judged=judged, evidence="", restored="")
    return replace(at_rest(draft), unused=unused)


def _begin(draft: Draft) -> None:
    new = draft.seen.target
    draft.close_run("superseded", f"superseded by {new}")
    draft.update(
        attempt=Attempt(new, Clock(draft.now), strategy=draft.seen.spec.strategy_kind),
        attempts=draft.status.attempts + (_trial(draft) is not None),
        weight=0.0,
        evidence="",
        unproven=(),
        drain_since=None,
    )
    draft.event(Reason.FIRST_DEPLOYMENT, f"deploying {new}: there is no version to compare it with")


def _others(draft: Draft) -> list[str]:
    return [one for one in draft.seen.revisions if one != draft.seen.target]


def _serving_before(draft: Draft) -> list[str]:
    """Versions that were never trusted and have the work: they keep it until this one can take it."""
    seen = draft.seen
    return [one for one in _others(draft) if one == seen.service or (seen.weights or {}).get(one)]


def _base(draft: Draft, summary: Summary, *, weight: float | None, service: str, named: str = "") -> Desired:
    seen, serving = draft.seen, _serving_before(draft)
    drains = not serving and draft.status.drain_since is not None
    others = frozenset(_others(draft))
    return Desired(
        summary,
        weight=weight,
        pods={seen.target: Pods(adoption.size(draft), shrink=True)},
        service=service,
        kept=frozenset({seen.target}) if drains else None,
        unused=frozenset() if drains else others - frozenset(serving),
        named=named,
    )


def _without_work(draft: Draft, summary: Summary) -> Desired:
    return _base(draft, summary, weight=None, service="", named=_named_to_consumers(draft))


def _with_all_work(draft: Draft, summary: Summary) -> Desired:
    return _base(draft, summary, weight=WHOLE, service=draft.seen.target)


def _named_to_consumers(draft: Draft) -> str:
    """Consumers take nothing before they are named, and need not be ready to take work. One that serves keeps it."""
    seen = draft.seen
    if seen.sizing is not Sizing.BY_CLAIMS:
        return ""
    named = [one for one, share in (seen.weights or {}).items() if share > 0]
    free = seen.target not in named and not any(seen.state(one).serving for one in named)
    return seen.target if free else ""


def _awaited(draft: Draft) -> Summary | None:
    """The pods that it lacks; None once it can have the work."""
    seen, on_trial = draft.seen, draft.status.on_trial
    state, wanted = seen.state(seen.target), adoption.size(draft)
    given = {one for one, share in (seen.weights or {}).items() if share} | ({seen.service} if seen.service else set())
    needed = bool(given - {seen.target}) and not any(seen.state(one).up for one in given - {seen.target})
    if state.serving >= wanted or ((on_trial or needed) and state.serving > 0):
        return None
    if on_trial:
        draft.stop_clock()
    if state.trouble is not None:
        return Summary(Phase.WAITING, state.trouble.reason, state.trouble.message)
    phase = Phase.WAITING if on_trial else Phase.PENDING
    return Summary(phase, Reason.STARTING, f"{state.serving} of {wanted} pods of {seen.target} serve")


def _judged(draft: Draft) -> Reason | Summary:
    """How it came to be trusted, or what it waits for."""
    seen = draft.seen
    if draft.attempt.full_by:
        return Reason.PROMOTED_BY_PERSON
    trial = _trial(draft)
    if trial is None:
        return Reason.FIRST_DEPLOYMENT
    if not draft.status.on_trial:
        draft.enter_step(len(seen.spec.steps) - 1)
        message = f"{seen.target} has all of the work and must keep to its limits for {trial.seconds:g} s"
        draft.event(Reason.BAKING, message)
    return _keeps_to_its_limits(draft, trial)


def _trial(draft: Draft) -> Bake | Switch | None:
    """What it has to pass, where there is something to judge it by."""
    spec = draft.seen.spec
    last = spec.steps[-1] if spec.steps else None
    limited = any(metric.limit is not None for metric in spec.analysis.judging)
    return last if isinstance(last, Bake | Switch) and limited and spec.replicas > 0 else None


def _keeps_to_its_limits(draft: Draft, trial: Bake | Switch) -> Reason | Summary:
    seen = draft.seen
    nearest, regression = seen.evidence.nearest, seen.evidence.regression
    draft.update(evidence=nearest.sentence() if nearest is not None else "")
    if regression is not None:
        found = regression.explanation(seen.evidence.looks)
        draft.announce(Reason.LIMIT_EXCEEDED, found)
        draft.update(evidence=regression.sentence())
        ways_out = "Commit a better version, or accept this one with `pointsman promote --full`"
        message = f"{found}; there is no version to roll back to. {ways_out}"
        return Summary(Phase.PAUSED, Reason.LIMIT_EXCEEDED, message)
    if seen.analysis_pending:
        return Summary(Phase.BAKING, Reason.BAKING, "waiting for the first answer of the metrics")
    if seen.metric_trouble is not None:
        return out_of_sight(draft, seen.metric_trouble, WHOLE)[1]
    draft.run_clock()
    started = draft.attempt.clock.step_started
    end = (draft.now if started is None else started) + trial.seconds
    left = end - draft.now
    suspicion = seen.evidence.held_back
    if left > 0:
        draft.again(left)
        message = f"{seen.target} must keep to its limits for {trial.seconds:g} s"
        return Summary(Phase.BAKING, Reason.BAKING, message)
    if seen.looked_until is not None and seen.looked_until < end - ROUNDING_S:
        return Summary(Phase.BAKING, Reason.ANALYZING, "waiting for the last looks at its limits")
    if suspicion is not None:
        return Summary(Phase.WAITING, Reason.SUSPICIOUS, f"not trusted yet: {suspicion.sentence()}")
    enough = seen.evidence.canary_units >= seen.spec.analysis.advanced.min_units
    return Reason.LIMITS_KEPT if enough else Reason.FIRST_DEPLOYMENT
