"""What the outbox hears of effects in the simulated world."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from controller.api.effect import Owed
from controller.rollout import pod_evidence
from controller.rollout.effect import Answered, Result


def heard(
    before: Mapping[str, Result], owed: Iterable[Owed], gate: Result | None, *, kept: bool
) -> Mapping[str, Result]:
    """`gate`: of each that is owed; None: nothing new. `kept`: what a rejected version's pods say is kept at once."""
    effects = [one.effect for one in owed]
    evidence = {one.id: Answered({}) for one in effects if kept and one.kind == pod_evidence.KIND}
    if gate is not None:
        return {one.id: gate for one in effects} | evidence
    return evidence if evidence or not effects else before
