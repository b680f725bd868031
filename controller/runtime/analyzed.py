"""What of a Release is to be measured, as a pass has seen it."""

from __future__ import annotations

from controller.analysis.subject import Drain, Subject, subject_of
from controller.api.status import Status
from controller.rollout.bake import bake_weight
from controller.rollout.preview import are_judged_before_work
from controller.runtime.observer import World


def analyzed_in(world: World, status: Status) -> Subject | None:
    """None where there is nothing to compare now."""
    spec, seen = world.spec, world.observation
    if spec.suspend or seen.deleting:
        return None
    return subject_of(
        world.key,
        spec.analysis,
        status,
        world.owner,
        target=seen.target,
        by_weight=seen.sizing.written and not spec.strategy.cookie,
        sticky=bool(spec.strategy.cookie),
        reserve_at=bake_weight(spec.steps),
        switches=spec.strategy.switches,
        judged_before=are_judged_before_work(spec.steps),
    )


def draining_in(world: World) -> Drain | None:
    """What is left of the version that had the work before stable; None while nothing drains."""
    spec, seen = world.spec, world.observation
    status, since = seen.status, seen.status.drain_since
    coming = "" if status.is_rejected(seen.target) else seen.target
    old = tuple(sorted(set(seen.revisions) - {status.stable, status.canary, status.baseline, coming}))
    if since is None or spec.suspend or seen.deleting or not status.stable or not old:
        return None
    return Drain(world.key, spec.analysis, status.stable, old, since, spec.drain.quiet)
