"""A fresh baseline: new pods of the stable version, made with the canary's, with the same weight, and compared with it.

New processes are slower than those that have run for days: caches, pools, compilers. So the comparison is between two
that are equally new. What goes wrong with the baseline says nothing of the canary: the baseline's work goes to stable,
and the steps wait. A canary that is compared with nobody keeps its work no longer than during an outage of the metrics.
"""

from __future__ import annotations

from controller.api.phase import Phase
from controller.api.reasons import Reason
from controller.api.revision import baseline_name
from controller.rollout.desired import Pods, Summary
from controller.rollout.draft import Draft
from controller.rollout.observation import MetricTrouble, RevisionState
from controller.rollout.strategy import Strategy

_WHOLE = 100.0
_WAYS_OUT = "Set spec.strategy.canary.baseline: stable to compare with the pods that run"


def follow_spec(draft: Draft) -> None:
    """Names the attempt's baseline, or drops it, as the spec says now. A rollout that compares nothing needs none."""
    spec, status = draft.seen.spec, draft.status
    # an edit of a metric's mode or margin counts from the next rollout on: this one is compared to its end
    compares = draft.attempt.baseline != "" and spec.analysis.metrics != ()
    compares = compares or any(metric.margin is not None for metric in spec.analysis.judging)
    wanted = spec.strategy.fresh_baseline and compares and spec.replicas > 0
    name = baseline_name(status.stable, status.canary, status.attempts) if wanted else ""
    if name != draft.attempt.baseline:
        draft.update_attempt(baseline=name, baseline_weight=0.0)


def weight_beside(draft: Draft, weight: float) -> float:
    """Percent for the baseline while the canary has `weight`: as much, or what is left.

    More than it has needs its pods first. What it has it keeps while one of them serves.
    """
    wanted = _part(weight) if draft.status.baseline else 0.0
    serving = _state(draft).serving
    if wanted <= draft.status.baseline_weight:
        return wanted if serving > 0 else 0.0
    return wanted if serving >= max(1, _size(draft, weight)) else 0.0


def pods_beside(draft: Draft, sized_for: float, weight: float) -> dict[str, Pods]:
    """As many as a canary with the baseline's weight has. At the end of all steps it needs no more than it has."""
    baseline = draft.status.baseline
    if not baseline:
        return {}
    return {baseline: Pods(_size(draft, sized_for if sized_for < _WHOLE else weight))}


def lacking(draft: Draft, weight: float) -> Summary | None:
    """Why the canary cannot be compared at `weight` percent yet; None where it can, or is not to be."""
    if not draft.status.baseline or not _part(weight) or weight_beside(draft, weight) > 0:
        return None
    state, clock = _state(draft), draft.attempt.clock
    found = _found(draft, weight)
    since = clock.held_since or max(clock.began, draft.status.scaled_up or 0.0)
    left = since + draft.seen.spec.progress_deadline - draft.now
    if clock.step_entered is None and state.trouble is None and left > 0:
        draft.again(left)
        return Summary(Phase.PROGRESSING, Reason.CANARY_STARTING, found)
    message = _uncompared(found)
    draft.announce(Reason.BASELINE_UNREADY, message)
    return Summary(Phase.WAITING, Reason.BASELINE_UNREADY, message)


def lost(draft: Draft) -> MetricTrouble | None:
    """That the canary has work which is compared with nobody's: as bad as metrics that are out, and treated alike."""
    weight = draft.in_force
    if not draft.status.baseline or not _part(weight) or weight_beside(draft, weight) > 0:
        return None
    return MetricTrouble(Reason.BASELINE_UNREADY, _uncompared(_found(draft, weight)))


def _found(draft: Draft, weight: float) -> str:
    state = _state(draft)
    found = f"{state.serving} of {_size(draft, weight)} pods of baseline {draft.status.baseline} serve"
    return found if state.trouble is None else f"{found}: {state.trouble.message}"


def _uncompared(found: str) -> str:
    return f"{found}. The canary is not compared meanwhile, and not blamed. {_WAYS_OUT}"


def _part(weight: float) -> float:
    return max(0.0, min(weight, _WHOLE - weight))


def _size(draft: Draft, weight: float) -> int:
    strategy: Strategy = draft.seen.spec.strategy
    return strategy.sizes(draft.seen.sizing, draft.seen.spec.replicas, _part(weight)).canary


def _state(draft: Draft) -> RevisionState:
    return draft.seen.state(draft.status.baseline)
