"""`spec.keepFailed`: one pod of a rejected version stays for a while, without work, for a person to look at.

Nothing waits for it: not the phase, not the next version, not a deletion. Where work is split by pods it goes as soon
as the next version comes, since Service NAME will select all pods there are.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.api import times
from controller.api.phase import Phase
from controller.rollout.actions import Scale
from controller.rollout.draft import Draft
from controller.rollout.sizing import Sizing

_SAID_IN = (Phase.ROLLING_BACK, Phase.ROLLED_BACK, Phase.HEALTHY)


@dataclass(frozen=True)
class KeptPod:
    revision: str
    until: float
    """Seconds since the epoch."""


def find(draft: Draft) -> KeptPod | None:
    """Of the version that was rejected last; one that was rejected before goes."""
    status, seen = draft.status, draft.seen
    last, keep = status.last_rollback, seen.spec.keep_failed
    if last is None or keep is None or not status.stable or seen.state(last.revision).wanted == 0:
        return None
    if last.revision in status.at_work or not status.is_rejected(last.revision):
        return None  # it comes out again
    if seen.sizing is Sizing.BY_PODS and status.attempt is not None:
        return None
    until = last.at + keep
    return KeptPod(last.revision, until) if until > draft.now else None


def shrinks(draft: Draft, kept: KeptPod) -> list[Scale]:
    return [Scale(kept.revision, 1)] if draft.seen.state(kept.revision).wanted > 1 else []


def sentence(draft: Draft, phase: Phase) -> str:
    """What is said of it beside everything else; empty where it is not there, or a rollout has more to say."""
    until, last = draft.status.failed_kept_until, draft.status.last_rollback
    if until is None or last is None or phase not in _SAID_IN:
        return ""
    return f"1 pod of {last.revision} stays without work until {times.to_seconds_text(until)}, for a look at it"
