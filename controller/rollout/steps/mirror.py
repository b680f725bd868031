"""`mirror`: the canary gets a copy of some requests, and its answers are dropped; until the next weight above 0."""

from __future__ import annotations

from typing import Any, ClassVar

from controller.api.fields import field, record
from controller.api.shapes import Share
from controller.rollout.preview import Reach
from controller.rollout.step import Done, Outcome, StepView

KIND = "mirror"
EXAMPLE: dict[str, Any] = {"mirror": "10%"}


@record()
class Mirror:
    needs: ClassVar[str] = "mirrorPercent"
    weight: ClassVar[None] = None
    analyzes: ClassVar[bool] = False

    mirror: float = field(
        Share(most=100, by_parser=True),
        "Share of the requests that is copied to the canary, until it gets work: whole percent, as 10 or '10%'. Nobody "
        "gets its answers. What a copied request writes is written twice.",
    )

    @property
    def reach(self) -> Reach:
        return Reach(mirror=self.mirror)

    def advance(self, view: StepView) -> Outcome:
        return Done(f"{self.mirror:g} % of the requests are copied to {view.canary}")


Config = Mirror
