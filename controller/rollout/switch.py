"""All of the work moves at once, and the version that had it stays ready to take it back.

It is a last step that nobody has to write: the strategies that switch compile to it.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.api.phase import Phase
from controller.api.reasons import Reason
from controller.rollout.step import Outcome, StepView, Wait, over

_LEAST_LOOKS = 2
"""A regression is two bad looks in a row, and metrics that do not come show in two, too."""


@dataclass(frozen=True)
class Switch:
    """`seconds`: how long the old version is kept at full size. Looks and rollbacks go on meanwhile."""

    seconds: float
    weight: float = 100.0
    analyzes: bool = False

    def advance(self, view: StepView) -> Outcome:
        left = self.seconds - view.elapsed
        if left > 0:
            return Wait(Reason.KEEPING_OLD, self._kept(view), again_in=left, phase=Phase.BAKING)
        if 0 < view.judged.looks < _LEAST_LOOKS and view.judged.judging:
            message = f"waiting for {_LEAST_LOOKS} looks at {view.canary} with all of the work"
            return Wait(Reason.ANALYZING, message, phase=Phase.BAKING)
        kept = f"{view.stable} was kept for {self.seconds:g} s ({view.evidence})"
        return over(view, self.seconds, kept, phase=Phase.BAKING)

    def _kept(self, view: StepView) -> str:
        kept = f"{view.stable} is kept for {self.seconds:g} s to take it back"
        said = [f"{view.canary} has all of the work{_short(view.canary_pods)}; {kept}{_short(view.stable_pods)}"]
        if not view.compares:
            said.append("too few looks before the switch had any units, so nothing is compared with them")
        return "; ".join(said)


def _short(pods: tuple[int, int]) -> str:
    serving, wanted = pods
    return "" if serving >= wanted else f", with {serving} of {wanted} pods"
