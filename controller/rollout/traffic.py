"""Weights: what they mean in shares of the work, whether the router has them, and which way they move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from controller.api.status import RouteEdits, Status
from controller.rollout.contention import noted, seconds_to_keep_off
from controller.rollout.draft import Draft
from controller.rollout.observation import Observation
from controller.rollout.preview import Preview, Reach, reach_of
from controller.rollout.sizing import Sizing
from controller.rollout.step import Step

WHOLE = 100.0
ROUTER_FOLLOWS_S = 5.0
"""How long a version keeps its pods after its weight went to 0, and an old router goes on serving after a hand-over:
routers were seen to follow within 1.6 s.
"""
_SAME_SHARE = 0.005
"""Percent; half of the smallest step that a route can hold."""


@dataclass(frozen=True)
class Move:
    """From the shares that the router has to those that it should have."""

    shares: Mapping[str, float]
    needed: bool
    """The router has to be written."""
    changes: bool
    """The router or the status will differ: after a crash the router may have it already, and the status may not."""
    gives_work: bool
    """A version other than the stable one in the stored status gets more than it has: the status is written first."""
    edits: RouteEdits
    on_trial: str = ""
    """The revision that has all of the work, where it may lose it again."""
    trusts: bool = False
    """The one that has all of the work is trusted from now on: the status that says so is written first."""
    hands_off_s: float = 0.0
    """For so long the router is left as another writer made it."""


def shares(status: Status, weight: float, baseline: float = 0.0) -> Mapping[str, float]:
    """Percent by revision, summing to 100: `weight` is the canary's, `baseline` its baseline's, the rest stable's."""
    stable, canary = status.stable, status.canary
    if not stable or weight >= WHOLE:
        return {canary: WHOLE}
    given = {stable: WHOLE - weight - baseline, status.baseline: baseline, canary: weight}
    return {revision: share for revision, share in given.items() if share > 0}


def serving(draft: Draft, weight: float) -> str:
    """Whom callers get that pass no router: stable until the promotion, but a switch is one for all callers."""
    status = draft.status
    return status.canary if weight >= WHOLE and draft.seen.spec.strategy.switches else status.stable


def preview_at(draft: Draft, step: int) -> Preview | None:
    """What leads to the canary besides its weight, while it serves, or else to stable: by the strategy, or by the last
    step up to this one that lets some requests at it.
    """
    seen, status = draft.seen, draft.status
    steps = () if not status.canary or not status.stable else seen.spec.steps[: step + 1]
    of_steps = [reach for reach in map(reach_of, steps) if reach is not None]
    reach = of_steps[-1] if of_steps else seen.spec.strategy.reach
    if reach is not None and reach.mirror:
        return _mirrored(draft, reach, steps)
    serves = status.canary if status.canary and seen.state(status.canary).serving > 0 else status.stable
    return None if reach is None or not serves else Preview(serves, reach)


def _mirrored(draft: Draft, reach: Reach, steps: Sequence[Step]) -> Preview | None:
    """The canary alone gets copies, and none once it has work of its own: stable would do everything twice."""
    seen, canary = draft.seen, draft.status.canary
    works = any((one.weight or 0) > 0 for one in steps)
    return None if works or seen.state(canary).serving <= 0 else Preview(canary, reach)


def selected(wanted: Mapping[str, float]) -> str:
    """What Service NAME selects for these shares by pods: one revision, or '' for all there are."""
    return next(iter(wanted)) if len(wanted) == 1 else ""


def move(draft: Draft, weight: float, baseline: float = 0.0) -> Move:
    """What giving the canary `weight` percent, and its baseline `baseline`, would take."""
    status = draft.status
    changes = (status.weight, status.baseline_weight) != (weight, baseline)
    return _to(draft, dict(shares(status, weight, baseline)), changes)


def move_to(draft: Draft, revision: str) -> Move:
    """Everything to one revision, whatever the status says of weights."""
    return _to(draft, {revision: WHOLE}, changes=False)


def _to(draft: Draft, wanted: Mapping[str, float], changes: bool) -> Move:  # noqa: FBT001 - private, and named above
    seen, edits = draft.seen, draft.status.route_edits
    gives = _gives_work(seen, wanted)
    on_trial = _on_trial(draft, wanted)
    if has(seen, wanted):
        marked = seen.marked_on_trial
        differs = marked is not None and marked != on_trial
        trusts = differs and not on_trial
        return Move(wanted, differs, changes, gives_work=gives, edits=edits, on_trial=on_trial, trusts=trusts)
    before = seen.status
    known = shares(before, before.weight, before.baseline_weight)
    if not before.stable or seen.given_is_unknown or dict(wanted) != dict(known):
        # our own change, or one that was not finished: it never waits
        return Move(wanted, needed=True, changes=True, gives_work=gives, edits=edits, on_trial=on_trial)
    seconds = seconds_to_keep_off(edits, draft.now)
    if seconds > 0:
        return Move(wanted, needed=False, changes=changes, gives_work=gives, edits=edits, hands_off_s=seconds)
    edits = noted(edits, seen.route_by, draft.now)
    return Move(wanted, needed=True, changes=True, gives_work=gives, edits=edits, on_trial=on_trial)


def _on_trial(draft: Draft, wanted: Mapping[str, float]) -> str:
    """A version that has all of the work before it is trusted. A first one has nobody to lose it to."""
    status = draft.status
    return status.canary if status.stable and wanted.get(status.canary) == WHOLE else ""


def has(seen: Observation, wanted: Mapping[str, float]) -> bool:
    if seen.sizing is Sizing.BY_PODS:
        # the split itself is made by pods; what the router holds is who takes part
        return seen.service == selected(wanted)
    return (
        seen.weights is not None
        and set(seen.weights) == set(wanted)
        and all(abs(seen.weights[revision] - share) < _SAME_SHARE for revision, share in wanted.items())
    )


def _gives_work(seen: Observation, wanted: Mapping[str, float]) -> bool:
    stable = seen.status.stable
    if seen.sizing is Sizing.BY_PODS:
        return selected(wanted) != stable
    before = seen.weights or {}
    return any(share > before.get(one, 0.0) + _SAME_SHARE for one, share in wanted.items() if one != stable)
