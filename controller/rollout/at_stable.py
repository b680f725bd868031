"""What should be where stable alone serves: at rest, and after a rollback."""

from __future__ import annotations

from controller.api.phase import Phase
from controller.api.reasons import Reason
from controller.rollout import adoption
from controller.rollout.desired import Desired, Pods, Summary
from controller.rollout.draft import Draft
from controller.rollout.traffic import preview_at

_RETURNING = Summary(
    Phase.ROLLING_BACK, Reason.RETURNING, "the version that lost its work keeps its pods until the router has followed"
)
_DRAINING = Summary(Phase.PROMOTING, Reason.DRAINING, "the old version finishes its requests")


def at_rest(draft: Draft) -> Desired:
    """What was changed by hand is put back."""
    status, seen = draft.status, draft.seen
    draft.update(evidence="", stopped_at=0)
    if seen.spec.replicas > 0 and seen.state(status.stable).serving == 0:
        summary = Summary(Phase.WAITING, Reason.STABLE_UNREADY, f"no pod of stable {status.stable} serves")
    else:
        summary = Summary(Phase.HEALTHY, status.judged or Reason.PROMOTED, f"{status.stable} serves everything")
    if status.drain_since is not None:
        unfinished = _DRAINING
    elif len(seen.revisions) > 1:
        unfinished = _RETURNING
    else:
        unfinished = Summary(Phase.PROMOTING, summary.reason, f"{status.stable} receives the work")
    return stable_alone(draft, summary, unfinished=unfinished)


def rolled_back(draft: Draft) -> Desired:
    """The spec still asks for a rejected revision: it gets no work."""
    rejection = next(one for one in draft.status.rejected if one.revision == draft.seen.target)
    draft.update(evidence=rejection.evidence)
    return stable_alone(
        draft,
        Summary(Phase.ROLLED_BACK, rejection.reason, rejection.message),
        unfinished=Summary(Phase.ROLLING_BACK, rejection.reason, rejection.message),
    )


def stable_alone(draft: Draft, summary: Summary, *, unfinished: Summary | None = None) -> Desired:
    stable = draft.status.stable
    return Desired(
        summary,
        weight=0.0,
        pods={stable: Pods(adoption.size(draft), shrink=True)},
        service=stable,
        preview=preview_at(draft, -1),
        kept=frozenset({stable}),
        unfinished=unfinished,
    )
