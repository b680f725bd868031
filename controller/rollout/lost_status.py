"""A status that is lost, by hand or with a restore, took with it who was trusted. Objects say it again.

Whoever callers are sent to is stable, unless it only has the work on trial. Where that cannot be told, the version that
was there before is taken, and the one with the work is judged anew: too much caution costs a rollout, too little trusts
a version that nobody has judged.
"""

from __future__ import annotations

from controller.api.reasons import Reason
from controller.rollout.draft import Draft
from controller.rollout.observation import Observation


def find_stable_again(draft: Draft) -> None:
    """Where the spec asks for just the one that is trusted there is nothing to compare, and it is deployed like a first
    version.
    """
    seen, status = draft.seen, draft.status
    if status.stable or status.attempt is not None or seen.deleting:
        return
    front = _front(seen)
    before = _before(seen, front) if front and _is_on_trial(seen, front) else ""
    trusted = before or front
    if not trusted or (not before and trusted == seen.target):
        return
    draft.update(stable=trusted)
    why = f", because {front}, which has all of the work, is on trial" if before else ""
    then = "" if trusted == seen.target else f", and {seen.target} is a new version"
    message = f"the status named no version; {trusted} is taken for stable{why}{then}"
    draft.event(Reason.STATUS_LOST, message, warning=True)


def _front(seen: Observation) -> str:
    """Whom callers of Service NAME get, or else who has the most work: of several, not the one that is asked for."""
    if seen.service and seen.state(seen.service).exists:
        return seen.service
    weights = {one: share for one, share in (seen.weights or {}).items() if share > 0 and seen.state(one).exists}
    return max(weights, key=lambda one: (one != seen.target, weights[one]), default="")


def _is_on_trial(seen: Observation, front: str) -> bool:
    """By the ledger, by the record of the attempt, or by the finalizer: it is there while work has to go back."""
    if front == seen.marked_on_trial:
        return True
    run = seen.last_run
    if run is not None and front == run.canary and seen.state(run.stable).exists:
        return not run.promoted
    if run is not None and front == run.stable:
        return False
    copies = seen.preview is not None and seen.preview.reach.mirror > 0
    alone = {one for one, share in (seen.weights or {}).items() if share > 0} == {front}
    return seen.finalizer and not copies and alone and bool(_older(seen, front))


def _before(seen: Observation, front: str) -> str:
    """The version that the one on trial took the work from: it has kept its pods. Empty where there is none."""
    run = seen.last_run
    if run is not None and front == run.canary and seen.state(run.stable).exists:
        return run.stable
    others = _older(seen, front) or [one for one, state in seen.revisions.items() if one != front and state.exists]
    return max(others, key=lambda one: (seen.state(one).wanted, seen.state(one).made_at), default="")


def _older(seen: Observation, front: str) -> list[str]:
    """A version that comes out has younger objects than the one it is compared with. Objects' times are seconds."""
    made_at = seen.state(front).made_at
    return [one for one, state in seen.revisions.items() if one != front and state.exists and state.made_at <= made_at]
