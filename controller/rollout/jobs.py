"""What a step has begun in the cluster goes with the step: as long as it is owed its Job stays, then its deletion is.

A Job runs on where its step is only held up: while a person pauses the rollout, or pods are missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from controller.api.effect import Effect, Owed
from controller.api.job import DELETION, KIND
from controller.rollout.draft import Draft
from controller.rollout.effect import Refused, Retrying

KEPT_S = 600.0
"""A Job that cannot be deleted for so long is left to its own time to live."""


def keep_or_delete(draft: Draft, owed: Iterable[Owed]) -> Iterator[Owed]:
    """What is owed from before, with Jobs as they are after this decision."""
    wanted = {effect.id for effect in draft.effects if effect.kind == KIND}
    for item in owed:
        effect = item.effect
        if effect.kind == KIND and effect.id not in wanted:
            if wanted or not _is_under_way(draft, effect):
                yield Owed(_deletion(effect), draft.now)
            else:
                draft.effects.append(effect)
        elif effect.kind != DELETION or not (effect.payload.get("job") in wanted or _is_given_up(draft, item)):
            yield item


def _is_under_way(draft: Draft, effect: Effect) -> bool:
    status = draft.status
    if draft.seen.deleting or status.attempt is None:
        return False
    now = (status.canary, status.attempts, status.step)
    return now == tuple(effect.payload.get(name) for name in ("canaryRevision", "attempt", "step"))


def _deletion(effect: Effect) -> Effect:
    return Effect(f"{DELETION}.{effect.id}", DELETION, {"job": effect.id}, must_deliver=True)


def _is_given_up(draft: Draft, item: Owed) -> bool:
    result = draft.seen.effects.get(item.effect.id)
    if isinstance(result, Refused) or (isinstance(result, Retrying) and draft.now - item.since > KEPT_S):
        draft.event("JobNotDeleted", result.message, warning=True)
        return True
    return False
