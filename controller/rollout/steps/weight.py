"""`weight`: a share of the work for the canary, and how long it is watched there."""

from __future__ import annotations

from controller.api.fields import Absent, Rule, field, record
from controller.api.phase import Phase
from controller.api.reasons import Reason
from controller.api.shapes import Duration, Record, Share
from controller.rollout.step import Done, Fail, Outcome, StepView, Wait

KIND = "weight"
EXAMPLE = {"weight": 5, "analyze": {"atLeast": "1m", "atMost": "10m"}}


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
    at_least: float = field(Duration(), "The shortest time at this weight.", default="0s")


@record()
class Weight:
    weight: float = field(Share(), "Share of the work the canary gets from this step on: percent, as 5 or '0.5%'.")
    analyze: Analyze | None = field(
        Record(Analyze), "Analyze the canary at this weight before the next step.", default=Absent()
    )

    @property
    def at_least(self) -> float:
        return 0.0 if self.analyze is None else self.analyze.at_least

    @property
    def at_most(self) -> float | None:
        """Seconds; None: the weight is set and the rollout goes on."""
        return None if self.analyze is None else self.analyze.at_most

    @property
    def analyzes(self) -> bool:
        return self.at_most is not None

    def advance(self, view: StepView) -> Outcome:
        if self.at_most is None:
            return Done()
        if view.judged.proven and view.elapsed >= self.at_least and view.canary_units >= view.min_units:
            return Done(f"proven no worse after {view.elapsed:.0f} s ({view.evidence})")
        left = self.at_most - view.elapsed
        if left > 0:
            due = self.at_least - view.elapsed if view.judged.proven and view.elapsed < self.at_least else left
            return Wait(
                Reason.ANALYZING, f"analyzing at {self.weight:g} % for at most {self.at_most:g} s", again_in=due
            )
        if view.approved_by is not None:
            return Done(f"approved unproven by {view.approved_by} ({_unproven(view)})", unproven=True)
        return self._at_most(view)

    def _at_most(self, view: StepView) -> Outcome:
        """The time is up, and nothing was proven."""
        if view.canary_units < view.min_units:
            missing = f"{view.canary_units} of the {view.min_units} canary units needed to go on were seen"
            return Wait(Reason.AWAITING_TRAFFIC, missing, phase=Phase.WAITING, approvable=True)
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


def _unproven(view: StepView) -> str:
    """The counts, and what they do not exclude. Worked out only where something hangs on it: it takes its time."""
    bound = view.judged.not_excluded()
    return f"{view.evidence}; not excluded: {bound}" if bound else view.evidence


Config = Weight
