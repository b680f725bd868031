"""`header`: whoever sends a header gets the canary, from this step to the end of the rollout."""

from __future__ import annotations

from typing import Any, ClassVar

from controller.api.fields import record
from controller.api.reach import Header as Fields
from controller.rollout.preview import Reach
from controller.rollout.step import Done, Outcome, StepView

KIND = "header"
EXAMPLE: dict[str, Any] = {"header": {"name": "x-canary", "value": "always"}}


@record("Send requests with a header to the canary, whatever the weight; from this step to the end of the rollout.")
class Header(Fields):
    needs: ClassVar[str] = "preview"
    weight: ClassVar[None] = None
    analyzes: ClassVar[bool] = False

    @property
    def reach(self) -> Reach:
        return Reach(header=(self.name, self.value))

    def advance(self, view: StepView) -> Outcome:
        return Done(f"requests with {self.name}: {self.value} get {view.canary}")


Config = Header
