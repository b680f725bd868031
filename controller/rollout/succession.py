"""Who waits for the version under way, where the spec asks for another one in mid-release (spec.onNewVersion).

Which one comes out now is `Observation.target`.
"""

from __future__ import annotations

from controller.rollout.actions import KeepTemplate
from controller.rollout.plan import Plan

MOST_QUEUED = 10


def line_up(plan: Plan) -> None:
    """Remembers who waits, and says so. Comes after what was decided: nothing goes before a rollback."""
    seen, known = plan.seen, plan.status.queued
    waiting: list[str] = []
    if seen.asked != seen.target:
        if seen.spec.on_new_version == "queue":
            waiting = [one for one in known if one not in (seen.asked, seen.target) and seen.can_come(one)]
        waiting.append(seen.asked)
        if seen.asked not in known:
            # its turn may come when the spec has long asked for another one
            plan.do(KeepTemplate(seen.asked))
            plan.tell("VersionWaits", f"{seen.asked} waits until {seen.target} is done")
    while len(waiting) > MOST_QUEUED:
        plan.tell("VersionSkipped", f"{waiting.pop(0)} is skipped: {MOST_QUEUED} versions wait already", warning=True)
    plan.update(queued=tuple(waiting))
    if not waiting:
        return
    if not plan.status.canary:
        plan.again(0)
    sentence = f"; {', then '.join(waiting)} will follow"
    if not plan.status.message.endswith(sentence):
        plan.update(message=plan.status.message + sentence)
