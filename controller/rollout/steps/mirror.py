"""`mirror`: the canary gets a copy of some requests, and its answers are dropped; until the next weight above 0."""

from __future__ import annotations

from typing import Any, ClassVar

from controller.api.fields import Absent, field, record
from controller.api.shapes import Record, Share
from controller.rollout.analyze import DESCRIPTION, Analyze, MayAnalyze
from controller.rollout.preview import Reach
from controller.rollout.step import Done, Outcome, StepView

KIND = "mirror"
EXAMPLE: dict[str, Any] = {"mirror": "10%", "analyze": {"atMost": "10m"}}


@record()
class Mirror(MayAnalyze):
    needs: ClassVar[str] = "mirrorPercent"
    weight: ClassVar[None] = None

    mirror: float = field(
        Share(most=100, by_parser=True),
        "Share of the requests that is copied to the canary, until it gets work: whole percent, as 10 or '10%'. Nobody "
        "gets its answers. What a copied request writes is written twice.",
    )
    analyze: Analyze | None = field(Record(Analyze), DESCRIPTION, default=Absent())

    @property
    def reach(self) -> Reach:
        return Reach(mirror=self.mirror)

    def advance(self, view: StepView) -> Outcome:
        copied = f"{self.mirror:g} % of the requests"
        if self.analyze is None:
            return Done(f"{copied} are copied to {view.canary}")
        return self.analyze.compare(view, f"analyzing copies of {copied}")


Config = Mirror
