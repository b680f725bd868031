"""`pause`: time to let something show, with the looks going on."""

from __future__ import annotations

from controller.api.fields import field, record
from controller.api.reasons import Reason
from controller.api.shapes import Duration
from controller.rollout.step import Done, Outcome, StepView, Wait

KIND = "pause"
EXAMPLE = {"pause": {"for": "10m"}}


@record("Wait for some time. Looks and rollbacks go on.")
class Pause:
    seconds: float = field(Duration(), "How long.", key="for")
    weight: None = None
    analyzes: bool = False

    def advance(self, view: StepView) -> Outcome:
        left = self.seconds - view.elapsed
        if left <= 0:
            return Done("the pause is over")
        return Wait(Reason.PAUSING, f"pausing for {self.seconds:g} s", again_in=left)


Config = Pause
