"""Which versions wait for the one under way, where the spec asks for another one in mid-release (spec.onNewVersion).

Which one comes out now is `Observation.target`.
"""

from __future__ import annotations

from controller.rollout.actions import Event, KeepTemplate
from controller.rollout.draft import Draft

MOST_QUEUED = 10


def queue_versions(draft: Draft) -> tuple[list[Event], list[KeepTemplate]]:
    """Remembers which versions wait, and adds them to the message. A template is kept before the status names it."""
    seen, known = draft.seen, draft.status.queued
    waiting: list[str] = []
    events: list[Event] = []
    kept: list[KeepTemplate] = []
    unknown = seen.config_trouble is not None and not seen.config_trouble.stands_in
    if unknown and seen.spec.on_new_version == "queue":
        waiting = [one for one in known if one != seen.target and seen.can_come(one)]
    if seen.spec_revision != seen.target and not unknown:
        if seen.spec.on_new_version == "queue":
            waiting = [one for one in known if one not in (seen.spec_revision, seen.target) and seen.can_come(one)]
        waiting.append(seen.spec_revision)
        if seen.spec_revision not in known:
            # its turn may come when the spec has long asked for another one
            kept.append(KeepTemplate(seen.spec_revision))
            events.append(Event("VersionWaits", f"{seen.spec_revision} waits until {seen.target} is done"))
    while len(waiting) > MOST_QUEUED:
        skipped = f"{waiting.pop(0)} is skipped because {MOST_QUEUED} versions are already waiting"
        events.append(Event("VersionSkipped", skipped, warning=True))
    draft.update(queued=tuple(waiting))
    if waiting:
        if not draft.status.canary:
            draft.again(0)
        draft.update(message=f"{draft.status.message}; {', then '.join(waiting)} will follow")
    return events, kept
