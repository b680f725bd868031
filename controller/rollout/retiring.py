"""Which revisions go, and when: what has had work keeps its pods until the router has followed and it has drained."""

from __future__ import annotations

from controller.rollout import kept_pod
from controller.rollout.actions import Action, RestAdopted, Retire
from controller.rollout.desired import Desired
from controller.rollout.draft import Draft
from controller.rollout.pod_evidence import seconds_to_wait
from controller.rollout.preview import is_mirror
from controller.rollout.traffic import ROUTER_FOLLOWS_S, Move

PREVIEWED_AGAIN_S = 15.0


def retired(draft: Draft, desired: Desired, moved: Move | None) -> tuple[list[Action], bool]:
    """What goes now, and whether nothing is left that has to go later.

    A canary waits for the router to follow; an old stable version for the end of its drain; a rejected one until what
    its pods say was kept. One pod of it may stay, which nothing waits for.
    """
    seen, status = draft.seen, draft.status
    led_to = "" if seen.preview is None else seen.preview.revision
    unused: list[Action] = [Retire(one) for one in seen.revisions if one in desired.unused and one != led_to]
    if desired.kept is None:
        return unused, True
    others = [one for one in seen.revisions if one not in desired.kept and one not in desired.unused]
    weights = moved.shares if moved is not None and moved.needed else seen.weights or {}
    if draft.contended and any(seen.sizing.written and weights.get(one, 0) > 0 for one in others):
        return unused, False  # another writer sends work there
    if seen.preview is not None and seen.preview.revision in others and is_mirror(seen.preview):
        draft.again(PREVIEWED_AGAIN_S)
        return unused, False  # a router may refuse everybody while a version that gets copies is not there
    left = 0.0
    if status.weight_since is not None:
        left = status.weight_since + ROUTER_FOLLOWS_S - draft.now
    if status.drain_since is not None:
        left = max(left, _drain_left(draft, status.drain_since))
    left = max(left, seconds_to_wait(draft, others))
    kept = kept_pod.find(draft)
    draft.update(failed_kept_until=None if kept is None else kept.until)
    shrunk = [] if kept is None else kept_pod.shrinks(draft, kept)
    if kept is not None:
        draft.again(kept.until - draft.now)
        others = [one for one in others if one != kept.revision]
    rests = [RestAdopted()] if status.stable and seen.adoption is not None and seen.adoption.replicas else []
    if (others or shrunk or rests) and left > 0:
        draft.again(left)
        return unused, False
    if not others and not shrunk and not rests:
        draft.update(drain_since=None)  # with the summary that says so: by itself it would be a status write more
    return [*unused, *shrunk, *(Retire(one) for one in others), *rests], True


def _drain_left(draft: Draft, since: float) -> float:
    """Seconds until the old version may go: once it got no work for `drain.quiet`, at the latest after `drain.max`.

    Where no metric counts its work, `drain.quiet` after the switch.
    """
    drain, passed = draft.seen.spec.drain, draft.now - since
    return (drain.max if draft.seen.old_is_quiet is False else drain.quiet) - passed
