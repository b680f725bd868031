"""A person leaves the stable version for an older one.

As in every change of traffic the pods come first: the older version is small or gone. Only where stable serves
nothing, nothing is waited for. Then the work moves, and the version that was left is rejected, so that a spec that
still asks for it does not bring it back.
"""

from __future__ import annotations

from controller.api.phase import Phase
from controller.api.reasons import Reason
from controller.api.status import ManualRollback, Rejection
from controller.rollout.desired import Desired, Pods, Summary
from controller.rollout.draft import Draft
from controller.rollout.git_rollback import write_to_git
from controller.rollout.pod_evidence import keep_evidence
from controller.rollout.rejection import remember
from controller.rollout.traffic import preview_at


def manual_rollback(draft: Draft, older: str) -> Desired | None:
    """What should be while the older version starts; None once it has taken over, or was given up."""
    seen, leaving, wish = draft.seen, draft.status.stable, draft.status.going_back
    if wish is None:
        return None
    replicas, serving, unreached_s = seen.spec.replicas, seen.state(older).serving, seen.state(older).unreached_s
    found = f"{serving} of {replicas} pods of {older} serve"
    if serving >= replicas or seen.state(leaving).up == 0:
        _take_over(draft, older, wish)
        return None
    left = wish.since + seen.spec.progress_deadline - draft.now
    if left <= 0 and unreached_s <= 0:
        after = f"{found} after {seen.spec.progress_deadline:.0f} s"
        draft.event("RollbackGivenUp", f"{leaving} keeps the work: {after}", warning=True)
        draft.update(going_back=None)
        return None
    draft.again(left if left > 0 else None)
    message = f"{found}, then traffic moves there ({wish.why})"
    return Desired(
        Summary(Phase.ROLLING_BACK, Reason.ROLLED_BACK_BY_PERSON, message),
        weight=0.0,
        pods={older: Pods(replicas)},
        service=leaving,
        preview=preview_at(draft, -1),
    )


def _take_over(draft: Draft, older: str, wish: ManualRollback) -> None:
    leaving, reason = draft.status.stable, Reason.ROLLED_BACK_BY_PERSON
    rejection = Rejection(leaving, reason, wish.why, "", draft.now)
    draft.update(
        stable=older,
        previous="",
        judged=reason,
        last_rollback=rejection,
        drain_since=draft.now,
        weight_since=draft.now,
        going_back=None,
    )
    remember(draft, rejection)
    keep_evidence(draft, rejection, "aborted")
    write_to_git(draft, rejection)
    draft.event(reason, f"{older} took over from {leaving}: {rejection.message}", warning=True)
