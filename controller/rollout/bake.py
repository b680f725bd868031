"""`spec.bake`: after the last step the old version keeps a share as the control, so that comparing goes on.

It is a last step that nobody has to write: everything that goes on in steps goes on in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controller.api.phase import Phase
from controller.api.reading import Reader, SpecError
from controller.api.reasons import Reason
from controller.rollout.step import Done, Outcome, Step, StepView, Wait

HOLDBACK = 5.0
_MOST = 20.0


def bake_weight(steps: Sequence[Step]) -> float | None:
    """Percent of the work on the new version while it bakes; None where it does not."""
    last = steps[-1] if steps else None
    return last.weight if isinstance(last, Bake) else None


@dataclass(frozen=True)
class Bake:
    weight: float
    """Percent of the work on the new version."""
    seconds: float
    analyzes: bool = False

    def advance(self, view: StepView) -> Outcome:
        left = self.seconds - view.elapsed
        if left > 0:
            control = f"the old version keeps {100 - self.weight:g} % of the work as the control for {self.seconds:g} s"
            return Wait(Reason.BAKING, control, again_in=left, phase=Phase.BAKING)
        if view.suspicion is not None:
            return Wait(Reason.SUSPICIOUS, f"not promoted: {view.suspicion}", phase=Phase.WAITING, approvable=True)
        return Done(f"baked for {self.seconds:g} s ({view.evidence})")

    @classmethod
    def parse(cls, bake: Reader) -> Bake:
        bake.only("for", "holdback")
        holdback = bake.percent("holdback", HOLDBACK)
        if not 0 < holdback <= _MOST:
            raise SpecError(bake.at("holdback"), f"is not above 0% and at most {_MOST:g}%")
        return cls(weight=100 - holdback, seconds=bake.seconds("for"))
