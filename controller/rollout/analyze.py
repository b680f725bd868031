"""`analyze` of a step: how long the canary is watched before the next one, and what ends it."""

from __future__ import annotations

from controller.api.fields import Rule, field, record
from controller.api.phase import Phase
from controller.api.reasons import Reason
from controller.api.shapes import Duration
from controller.rollout.step import Done, Fail, Outcome, StepView, Wait, over


@record(
    rules=[
        Rule(
            "atLeast is longer than atMost",
            # CEL's durations know no days; the parser does
            cel="self.atLeast.contains('d') || self.atMost.contains('d') "
            "|| duration(self.atLeast) <= duration(self.atMost)",
            test=lambda analyze: analyze.at_least <= analyze.at_most,
            at="atLeast",
            says="is longer than atMost",
        )
    ]
)
class Analyze:
    at_most: float = field(Duration(), "Without proof by then, spec.analysis.onTimeout decides.")
    at_least: float = field(Duration(), "The shortest time of this step.", default="0s")

    def compare(self, view: StepView, doing: str) -> Outcome:
        """Until it is proven no worse than stable. `doing`: what goes on meanwhile, in words."""
        if view.judged.proven and view.elapsed >= self.at_least and view.canary_units >= view.min_units:
            return Done(f"proven no worse after {view.elapsed:.0f} s ({view.evidence})")
        left = self.at_most - view.elapsed
        if left > 0:
            due = self.at_least - view.elapsed if view.judged.proven and view.elapsed < self.at_least else left
            return Wait(Reason.ANALYZING, f"{doing} for at most {self.at_most:g} s", again_in=due)
        if view.approved_by is not None:
            return Done(f"approved unproven by {view.approved_by} ({_unproven(view)})", unproven=True)
        return _too_few(view) or self._unproven_in_time(view)

    def watch(self, view: StepView, doing: str) -> Outcome:
        """For its whole time, by limits: nothing is proven here."""
        left = self.at_most - view.elapsed
        if left > 0:
            return Wait(Reason.ANALYZING, f"{doing} for {self.at_most:g} s", again_in=left)
        few = _too_few(view) if view.approved_by is None else None
        return few or over(view, self.at_most, f"watched for {self.at_most:g} s ({view.evidence})")

    def _unproven_in_time(self, view: StepView) -> Outcome:
        if view.suspicion is not None:
            suspicion = f"waiting: {view.suspicion}"
            return Wait(Reason.SUSPICIOUS, suspicion, phase=Phase.WAITING, approvable=True)
        match view.on_timeout:
            case "rollback":
                return Fail(Reason.UNPROVEN, f"not proven no worse within {self.at_most:g} s ({_unproven(view)})")
            case "wait":
                waiting = f"not proven no worse, waiting for approval ({view.evidence})"
                return Wait(Reason.UNPROVEN, waiting, phase=Phase.PAUSED, approvable=True)
            case _:
                return Done(f"continued unproven after {self.at_most:g} s ({_unproven(view)})", unproven=True)


DESCRIPTION = "Analyze the canary at this step, before the next one."
"""Of the field, which is the same in each kind of step."""


class MayAnalyze:
    """A step with an optional `analyze`."""

    analyze: Analyze | None

    @property
    def at_most(self) -> float | None:
        """Seconds; None: the step is done as soon as it is entered."""
        return None if self.analyze is None else self.analyze.at_most

    @property
    def analyzes(self) -> bool:
        return self.analyze is not None


def _too_few(view: StepView) -> Wait | None:
    if view.canary_units >= view.min_units:
        return None
    missing = f"{view.canary_units} of the {view.min_units} canary units needed to go on were seen"
    return Wait(Reason.AWAITING_TRAFFIC, missing, phase=Phase.WAITING, approvable=True)


def _unproven(view: StepView) -> str:
    """The counts, and what they do not exclude. Worked out only where something hangs on it: it takes its time."""
    bound = view.judged.not_excluded()
    return f"{view.evidence}; not excluded: {bound}" if bound else view.evidence
