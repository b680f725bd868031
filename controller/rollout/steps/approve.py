"""`approve`: goes on when a person, or a pipeline, says so with a ReleaseAction."""

from __future__ import annotations

from typing import Any

from controller.api.fields import record
from controller.api.phase import Phase
from controller.api.reasons import Reason
from controller.rollout.step import Done, Outcome, StepView, Wait

KIND = "approve"
EXAMPLE: dict[str, Any] = {"approve": {}}


@record("Wait until a ReleaseAction approves. Looks and rollbacks go on.")
class Approve:
    weight: None = None
    analyzes: bool = False

    def advance(self, view: StepView) -> Outcome:
        if view.approved_by is None:
            return Wait(
                Reason.AWAITING_APPROVAL,
                "waiting for approval (pointsman approve)",
                phase=Phase.PAUSED,
                approvable=True,
            )
        return Done(f"approved by {view.approved_by}")


Config = Approve
