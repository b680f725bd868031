"""What a Release owes to the outside after a decision, of all kinds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from controller.api import job
from controller.api.effect import MOST_OWED, Owed
from controller.api.git_origin import GIT
from controller.api.reasons import Reason
from controller.api.status import Status
from controller.rollout import git_report, notices, pod_evidence
from controller.rollout.draft import Draft
from controller.rollout.effect import Result, Retrying, is_settled, owed_after
from controller.rollout.git_report import report, still_reported
from controller.rollout.git_rollback import not_written, with_outcome
from controller.rollout.incidents import LOST, ends, superseded
from controller.rollout.jobs import keep_or_delete
from controller.rollout.notices import announcements, effect_of, forward
from controller.rollout.pod_evidence import still_owed
from controller.rollout.recorded import note_recorded, record

_FOLLOWED_BY_NOTHING = {GIT, git_report.KIND, notices.KIND}
"""What came of the other kinds is for the next decision."""
_LOST: Mapping[str, tuple[str, str]] = {
    GIT: ("GitNotWritten", "revision"),
    git_report.KIND: ("CommitNotReported", "revision"),
    job.DELETION: ("JobNotDeleted", "job"),
    notices.KIND: (LOST, "to"),
    pod_evidence.KIND: ("EvidenceNotKept", "revision"),
}
"""Of each kind that must be delivered: the event that says that it is not, and what of the payload it is about."""


def owe(draft: Draft) -> None:
    """The status is summarized already. What was owed first: what a held-up step has begun stays wanted by that."""
    seen = draft.seen
    owed = not_written(draft, still_owed(draft, forward(draft, seen.status.owed)))
    kept: tuple[Owed, ...] = tuple(keep_or_delete(draft, note_recorded(draft, still_reported(draft, owed))))
    announced = announcements(draft)
    notes = [effect_of(draft.status, announcement, draft.now) for announcement in announced]
    wanted = (*draft.effects, *notes, *report(draft), *record(draft))
    before = tuple(superseded(kept, announced))
    if seen.deleting:
        for said in undelivered(kept, before, seen.effects):
            draft.event(LOST, said, warning=True)
    draft.update(owed=owed_after(before, wanted, seen.effects, draft.now, first_to_go={notices.KIND}))
    to_deliver = (item for item in before if item.effect.must_deliver)
    _say_dropped(draft, (*to_deliver, *(Owed(effect, draft.now) for effect in wanted)))


def _say_dropped(draft: Draft, owed: Iterable[Owed]) -> None:
    """More is owed than a status holds, and the oldest of it went."""
    left = {item.effect.id for item in draft.status.owed}
    for effect in {item.effect.id: item.effect for item in owed}.values():
        if effect.id in left or is_settled(draft.seen.effects.get(effect.id)):
            continue
        reason, about = _LOST.get(effect.kind, ("EffectLost", ""))
        message = f"{effect.payload.get(about, effect.id)}: dropped, because {MOST_OWED} other effects are still owed"
        draft.event(reason, message, warning=True)


def as_it_stands(status: Status, results: Mapping[str, Result]) -> Status:
    """Of a pass that decides nothing: what is owed stays owed, whatever the spec says, until it is carried out."""
    left = []
    for item in status.owed:
        result = results.get(item.effect.id)
        status = with_outcome(status, item, result)
        if not (item.effect.kind in _FOLLOWED_BY_NOTHING and item.effect.must_deliver and is_settled(result)):
            left.append(item)
    return status.changed(owed=tuple(left))


def at_the_end(status: Status, now: float) -> tuple[Owed, ...]:
    """What a Release leaves undelivered when it is gone, however it went. `status`: its last one.

    Alerts know nothing of the Release, and would stay open for ever: their ends come first.
    """
    status = status.changed(reason=Reason.DELETING, message="the Release is deleted")
    announced = tuple(ends(status, now))
    notes = [Owed(effect_of(status, announcement, now), now) for announcement in announced]
    left = superseded((item for item in status.owed if item.effect.must_deliver), announced)
    return (*notes, *left)[:MOST_OWED]


def undelivered(owed: Iterable[Owed], left: Iterable[Owed], results: Mapping[str, Result]) -> Iterator[str]:
    """A sentence for each notification that was owed when its Release was deleted, and is not among those `left`."""
    tried = {item.effect.id for item in left}
    for item in owed:
        effect, result = item.effect, results.get(item.effect.id)
        if effect.must_deliver and effect.id not in tried and not is_settled(result):
            to, about = effect.payload.get("to", effect.id), effect.payload.get("notice", {}).get("message", "")
            why = f" ({result.message})" if isinstance(result, Retrying) else ""
            yield f"{to}: not delivered before the Release was deleted: {about}{why}"
