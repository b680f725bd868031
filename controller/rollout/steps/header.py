"""`header`: whoever sends a header gets the canary, from this step to the end of the rollout."""

from __future__ import annotations

from typing import Any, ClassVar

from controller.api.fields import Absent, Rule, field, record
from controller.api.reach import Header as Match
from controller.api.shapes import Record
from controller.rollout.analyze import DESCRIPTION, Analyze, MayAnalyze
from controller.rollout.preview import Reach
from controller.rollout.step import Done, Outcome, StepView

KIND = "header"
EXAMPLE: dict[str, Any] = {"header": {"name": "x-canary", "value": "always"}, "analyze": {"atMost": "10m"}}
_NO_PROOF = "people choose the requests with this header, so nothing is proven and the step takes atMost: leave it out"


@record(
    rules=[
        Rule(
            f"analyze.atLeast: {_NO_PROOF}",
            test=lambda step: step.analyze is None or step.analyze.at_least <= 0,
            at="analyze",
            says=f"atLeast: {_NO_PROOF}",
        )
    ]
)
class Header(MayAnalyze):
    needs: ClassVar[str] = "preview"
    weight: ClassVar[None] = None
    by_limits: ClassVar[bool] = True
    """Nothing is random about who sends the header, so what is seen of them is compared with nobody's."""

    header: Match = field(
        Record(Match),
        "Send requests with a header to the canary, whatever the weight; from this step to the end of the rollout.",
    )
    analyze: Analyze | None = field(Record(Analyze), DESCRIPTION, default=Absent())

    @property
    def reach(self) -> Reach:
        return Reach(header=(self.header.name, self.header.value))

    def advance(self, view: StepView) -> Outcome:
        requests = f"requests with {self.header.name}: {self.header.value}"
        if self.analyze is None:
            return Done(f"{requests} get {view.canary}")
        return self.analyze.watch(view, f"watching {requests}")


Config = Header
