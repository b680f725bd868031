"""Which version comes out now, where the spec asks for another one in mid-release (spec.onNewVersion).

`restart`: the new one, at once. `finish`: the one under way goes on to its end, and then the newest comes; what was
asked for in between is skipped. `queue`: each one that was asked for, in its order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.core.actions import KeepTemplate

if TYPE_CHECKING:
    from controller.core.observation import Observation
    from controller.core.plan import Plan

MOST_QUEUED = 10


def target_of(seen: Observation) -> str:
    """The revision to bring out. The stable version, and a rejected one, are obeyed at once in every mode."""
    asked, status, mode = seen.asked, seen.status, seen.spec.on_new_version
    if mode == "restart" or not status.stable or asked == status.stable or status.is_rejected(asked):
        return asked
    # what the API server has refused has no end to wait for
    refused = (status.behind or status.reason) == "TemplateRefused" and not seen.state(status.canary).complete
    if status.canary and not refused:
        return status.canary
    if mode == "queue":
        return next((one for one in status.queued if _can_come(seen, one) and one != status.canary), asked)
    return asked


def _can_come(seen: Observation, revision: str) -> bool:
    return revision != seen.status.stable and not seen.status.is_rejected(revision)


def line_up(plan: Plan) -> None:
    """Remembers who waits, and says so. Comes after what was decided: nothing goes before a rollback."""
    seen, known = plan.seen, plan.status.queued
    waiting: list[str] = []
    if seen.asked != seen.target:
        if seen.spec.on_new_version == "queue":
            waiting = [one for one in known if one not in (seen.asked, seen.target) and _can_come(seen, one)]
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
