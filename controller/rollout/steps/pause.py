"""`pause`: time to let something show, with the looks going on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from controller.api.reading import DURATION_SCHEMA, Reader
from controller.api.reasons import Reason
from controller.rollout.step import Done, Outcome, StepView, Wait

KIND = "pause"
SCHEMA: dict[str, Any] = {
    "pause": {
        "description": "Wait for a while; looks, and rollbacks, go on.",
        "type": "object",
        "required": ["for"],
        "properties": {"for": {**DURATION_SCHEMA, "description": "How long."}},
    },
}
EXAMPLE = {"pause": {"for": "10m"}}


@dataclass(frozen=True)
class Pause:
    seconds: float
    weight: None = None
    analyzes: bool = False

    def advance(self, view: StepView) -> Outcome:
        left = self.seconds - view.elapsed
        if left <= 0:
            return Done("the pause is over")
        return Wait(Reason.PAUSING, f"pausing for {self.seconds:g} s", again_in=left)

    @classmethod
    def parse(cls, step: Reader) -> Pause:
        return cls(step.child("pause").only("for").seconds("for"))


Config = Pause
