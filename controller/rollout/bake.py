"""`spec.bake`: after the last step the old version keeps a share as the control, so that comparing goes on.

It is a last step that nobody has to write: everything that goes on in steps goes on in it.
"""

from __future__ import annotations

from collections.abc import Sequence

from controller.api.fields import field, record
from controller.api.phase import Phase
from controller.api.reasons import Reason
from controller.api.shapes import Duration, Share
from controller.rollout.step import Outcome, Step, StepView, Wait, over


def bake_weight(steps: Sequence[Step]) -> float | None:
    """Percent of the work on the new version while it bakes; None where it does not."""
    last = steps[-1] if steps else None
    return last.weight if isinstance(last, Bake) else None


@record(kw_only=True)
class Bake:
    seconds: float = field(Duration(), "How long.", key="for")
    weight: float = field(
        Share(20),
        "Share that the old version keeps, above 0% and at most 20%.",
        key="holdback",
        default="5%",
        convert=lambda holdback: 100 - holdback,
    )
    """Percent of the work on the new version."""
    analyzes: bool = False

    def advance(self, view: StepView) -> Outcome:
        left = self.seconds - view.elapsed
        if left > 0:
            control = f"the old version keeps {100 - self.weight:g} % of the work as the control for {self.seconds:g} s"
            return Wait(Reason.BAKING, control, again_in=left, phase=Phase.BAKING)
        return over(view, self.seconds, f"baked for {self.seconds:g} s ({view.evidence})", phase=Phase.BAKING)
