"""What reaches a version that has no work: copies of requests, or requests that people choose, and who judges by them.

It is judged from the step that says `analyze` until it gets work, or nothing reaches it any longer.
"""

from __future__ import annotations

from controller.rollout.desired import Desired
from controller.rollout.draft import Draft
from controller.rollout.preview import Reach, are_judged_before_work, reach_of


def judges(draft: Draft) -> bool:
    """The canary has no work yet, and a step that analyzes what reaches it all the same was entered."""
    steps = draft.seen.spec.steps[: draft.status.step + 1]
    return _analyzes(draft) and not draft.status.full_by and not any((one.weight or 0) > 0 for one in steps)


def _analyzes(draft: Draft) -> bool:
    """A step that analyzes what reaches the canary without a weight was entered."""
    steps = draft.seen.spec.steps[: draft.status.step + 1] if draft.status.stable else ()
    return are_judged_before_work(steps)


def copied_at(draft: Draft) -> float:
    """Percent of the requests that is copied to the canary at this step, once its pods serve."""
    steps = draft.seen.spec.steps[: draft.status.step + 1]
    if any((one.weight or 0) > 0 for one in steps):
        return 0.0
    reaches = [reach for reach in map(reach_of, steps) if reach is not None]
    return reaches[-1].mirror if reaches else 0.0


def note(draft: Draft, desired: Desired) -> None:
    """Without work the canary is judged by what reaches it from when the router leads it there until it does not: each
    of these moments ends a look.
    """
    preview = desired.preview
    if draft.status.attempt is None or (desired.hands_off and desired.weight is None):
        return
    leads = preview is not None and preview == draft.seen.preview and preview.revision == draft.status.canary
    reach = preview.reach if preview is not None and leads and _analyzes(draft) else Reach()
    # with work the header goes on, and counts again if the work is taken back
    judged = reach.mirror, draft.attempt.chosen if draft.status.weight > 0 else reach.header is not None
    if judged != (draft.attempt.copied, draft.attempt.chosen):
        draft.update_attempt(copied=judged[0], chosen=judged[1])
        draft.update(weight_since=draft.now)
        draft.again(0)
