"""What a step has begun in the cluster goes with the step: as long as it is owed its Job stays, then its deletion is.

A Job runs on where its step is only held up: while a person pauses the rollout, or pods are missing. One that has
rejected a version stays until what it said is kept (`pod_evidence.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from controller.api.effect import Effect, Owed
from controller.api.job import DELETION, KIND
from controller.rollout import pod_evidence
from controller.rollout.draft import Draft
from controller.rollout.effect import given_up, is_settled
from controller.rollout.steps.job import Job

KEPT_S = 600.0
"""A Job that cannot be deleted for so long is left to its own time to live."""


def keep_or_delete(draft: Draft, owed: Iterable[Owed]) -> Iterator[Owed]:
    """What is owed from before, with Jobs as they are after this decision. `owed`: without what was given up."""
    wanted = {effect.id for effect in draft.effects if effect.kind == KIND}
    read = {str(effect.payload.get("job", "")) for effect in draft.effects if effect.kind == pod_evidence.KIND}
    reading = set[str]()
    for item in owed:
        effect = item.effect
        if effect.kind == pod_evidence.KIND and not is_settled(draft.seen.effects.get(effect.id)):
            reading.add(effect.id)
        if effect.kind == KIND and effect.id not in wanted:
            if not wanted and _is_under_way(draft, effect):
                draft.effects.append(effect)
            elif effect.id not in read:
                yield Owed(_deletion(effect.id), draft.now)
        elif effect.kind != DELETION or not (effect.payload.get("job") in wanted or _is_given_up(draft, item)):
            yield item
    for item in draft.seen.status.owed:
        job = str(item.effect.payload.get("job", ""))
        if item.effect.kind == pod_evidence.KIND and job and item.effect.id not in reading and job not in wanted:
            yield Owed(_deletion(job), draft.now)


def _is_under_way(draft: Draft, effect: Effect) -> bool:
    status, steps = draft.status, draft.seen.spec.steps
    if draft.seen.deleting or status.attempt is None:
        return False
    now = (status.canary, status.attempts, status.step)
    if now != tuple(effect.payload.get(name) for name in ("canaryRevision", "attempt", "step")):
        return False
    # a spec that cannot be meant has no steps until it is mended
    under_way = steps[status.step : status.step + 1]
    return not steps or any(isinstance(one, Job) and one.digest == effect.payload["digest"] for one in under_way)


def _deletion(job: str) -> Effect:
    return Effect(f"{DELETION}.{job}", DELETION, {"job": job}, must_deliver=True)


def _is_given_up(draft: Draft, item: Owed) -> bool:
    trouble = given_up(draft.seen.effects.get(item.effect.id), draft.now - item.since, KEPT_S)
    if trouble is None:
        return False
    draft.event("JobNotDeleted", trouble.message, warning=True)
    return True
