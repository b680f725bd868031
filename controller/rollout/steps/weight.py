"""`weight`: a share of the work for the canary, and how long it is watched there."""

from __future__ import annotations

from controller.api.fields import Absent, field, record
from controller.api.shapes import Record, Share
from controller.rollout.analyze import DESCRIPTION, Analyze
from controller.rollout.step import Done, Outcome, StepView

KIND = "weight"
EXAMPLE = {"weight": 5, "analyze": {"atLeast": "1m", "atMost": "10m"}}


@record()
class Weight:
    weight: float = field(Share(), "Share of the work the canary gets from this step on: percent, as 5 or '0.5%'.")
    analyze: Analyze | None = field(Record(Analyze), DESCRIPTION, default=Absent())

    @property
    def at_most(self) -> float | None:
        """Seconds; None: the weight is set and the rollout goes on."""
        return None if self.analyze is None else self.analyze.at_most

    @property
    def analyzes(self) -> bool:
        return self.analyze is not None

    def advance(self, view: StepView) -> Outcome:
        if self.analyze is None:
            return Done()
        return self.analyze.compare(view, f"analyzing at {self.weight:g} %")


Config = Weight
