"""All of the work moves at once, and the version that had it stays ready to take it back.

It is a last step that nobody has to write: the strategies that switch compile to it.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.api.phase import Phase
from controller.api.reasons import Reason
from controller.rollout.step import Done, Outcome, StepView, Wait


@dataclass(frozen=True)
class Switch:
    """`seconds`: how long the old version is kept at full size. Looks and rollbacks go on meanwhile."""

    seconds: float
    weight: float = 100.0
    analyzes: bool = False

    def advance(self, view: StepView) -> Outcome:
        left = self.seconds - view.elapsed
        if left > 0:
            kept = f"{view.canary} has all of the work; {view.stable} is kept for {self.seconds:g} s to take it back"
            serving, wanted = view.stable_pods
            if serving < wanted:
                kept = f"{kept}, with {serving} of {wanted} pods"
            return Wait(Reason.KEEPING_OLD, kept, again_in=left, phase=Phase.BAKING)
        if view.suspicion is not None:
            return Wait(Reason.SUSPICIOUS, f"not promoted: {view.suspicion}", phase=Phase.WAITING, approvable=True)
        return Done(f"{view.stable} was kept for {self.seconds:g} s ({view.evidence})")
