"""`weight`: a share of the work for the canary, and how long it is watched there."""

from __future__ import annotations

from controller.api.fields import Absent, field, record
from controller.api.shapes import Record, Share
from controller.rollout.analyze import DESCRIPTION, Analyze, MayAnalyze
from controller.rollout.step import Done, Outcome, StepView

KIND = "weight"
EXAMPLE = {"weight": 5, "analyze": {"atLeast": "1m", "atMost": "10m"}}


@record()
class Weight(MayAnalyze):
    weight: float = field(Share(), "Share of the work the canary gets from this step on: percent, as 5 or '0.5%'.")
    analyze: Analyze | None = field(Record(Analyze), DESCRIPTION, default=Absent())

    def advance(self, view: StepView) -> Outcome:
        if self.analyze is None:
            return Done()
        return self.analyze.compare(view, f"analyzing at {self.weight:g} %")


Config = Weight
