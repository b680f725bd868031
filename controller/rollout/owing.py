"""What a Release owes to the outside after a decision, of all kinds."""

from __future__ import annotations

from controller.api.effect import Owed
from controller.rollout.draft import Draft
from controller.rollout.effect import owed_after
from controller.rollout.git_report import report, still_reported
from controller.rollout.git_rollback import not_written
from controller.rollout.jobs import keep_or_delete
from controller.rollout.notices import forward, notify
from controller.rollout.pod_evidence import still_owed
from controller.rollout.recorded import note_recorded, record


def owe(draft: Draft) -> None:
    """The status is summarized already. What was owed first: what a held-up step has begun stays wanted by that."""
    seen = draft.seen
    owed = not_written(draft, still_owed(draft, forward(draft, seen.status.owed)))
    kept: tuple[Owed, ...] = tuple(keep_or_delete(draft, note_recorded(draft, still_reported(draft, owed))))
    wanted = (*draft.effects, *notify(draft), *report(draft), *record(draft))
    draft.update(owed=owed_after(kept, wanted, seen.effects, draft.now))
