"""How an attempt ends without a promotion. The status alone changes: weight 0 is what `converge` acts on first."""

from __future__ import annotations

from controller.api.reasons import Reason
from controller.api.status import KEPT, Rejection
from controller.rollout import without_work
from controller.rollout.draft import Draft
from controller.rollout.git_rollback import say_forgotten, write_to_git
from controller.rollout.pod_evidence import keep_evidence


def end_attempt(draft: Draft, verdict: str, message: str) -> None:
    """Everything is meant for stable; the attempt is over."""
    draft.close_run(verdict, message)
    previewed = draft.seen.preview is not None and draft.seen.preview.revision == draft.status.canary
    if draft.status.weight > 0 or previewed:
        # requests may still be on their way to its pods; those of a version that never had any go at once
        draft.update(weight_since=draft.now)
    draft.update(attempt=None, stopped_at=0, weight=0.0, unproven=())


def reject(draft: Draft, reason: str, message: str) -> None:
    """A rollback; the revision stays rejected."""
    canary, step = draft.status.canary, draft.status.step
    met = not without_work.judges(draft) or draft.status.weight > 0
    change = "" if draft.status.attempt is None else draft.status.attempt.change
    rejection = Rejection(canary, reason, message, draft.status.evidence, draft.now, change)
    verdict = "aborted" if reason == Reason.ABORTED else "regression"
    end_attempt(draft, verdict, message)
    draft.update(last_rollback=rejection, stopped_at=step)
    remember(draft, rejection)
    keep_evidence(draft, rejection, verdict)
    write_to_git(draft, rejection)
    # nobody but those who asked for it has met a version without work
    ended = "rolled back" if met else "rejected before it had work"
    draft.event(reason, f"{canary} {ended}: {message}{f'; {change}' if change else ''}", warning=True)


def remember(draft: Draft, rejection: Rejection) -> None:
    """A status has room for so many. The oldest is forgotten, never the one the spec asks for, and an event says so."""
    rejected = [*draft.status.rejected, rejection]
    while len(rejected) > KEPT:
        oldest = next(one for one in rejected if one.revision not in (draft.seen.target, draft.seen.spec_revision))
        rejected.remove(oldest)
        draft.event("RejectionForgotten", f"{oldest.revision} was rejected so long ago that it may come out again")
        say_forgotten(draft, oldest.revision)
    draft.update(rejected=tuple(rejected))
