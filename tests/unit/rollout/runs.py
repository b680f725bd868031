"""What the world's analysis has seen of one attempt."""

from __future__ import annotations

from dataclasses import dataclass, field

from controller.analysis.method import compared_with_before, metric_plan
from controller.api.release import ReleaseSpec
from controller.api.status import Status
from controller.stats.counts import Counts, Look
from controller.stats.evidence import NO_EVIDENCE, Evidence
from controller.stats.judge import Judge
from controller.stats.method import PREVIEWS_SHARE, AnalysisPlan
from controller.stats.share_lag import share_lag

BEFORE = [(2, 2000)] * 20
"""What stable does in the looks before a switch."""


@dataclass
class Run:
    """An AnalysisRun: the method, and the looks that were written."""

    plan: AnalysisPlan
    judge: Judge
    looks: list[Look] = field(default_factory=list)

    @classmethod
    def of(cls, spec: ReleaseSpec, status: Status, *, before_switch: bool = False) -> Run | None:
        """None where nothing is to be judged by. `before_switch`: by what reaches the version without work."""
        analysis = spec.analysis
        metrics = analysis.metrics
        if not status.stable:  # there is none to compare the first version with
            metrics = tuple(one for one in metrics if one.limit is not None and status.weight > 0)
        if status.attempt is None or not metrics:
            return None
        tested = tuple(metric_plan(metric, metric.name) for metric in metrics)
        part = PREVIEWS_SHARE if before_switch else 1.0
        plan = AnalysisPlan(analysis.alpha * part, analysis.advanced.min_bad_units, tested)
        if spec.strategy.switches and status.stable and not before_switch:
            plan = compared_with_before(plan, analysis, {one.name: BEFORE for one in tested})
        return cls(plan, Judge(plan))

    def look(
        self,
        start: float,
        end: float,
        share: float,
        counts: Counts,
        *,
        copied: float = 0.0,
        chosen: bool = False,
        baseline: float | None = None,
        advice: Counts | None = None,
    ) -> None:
        """Of requests that people choose, only a limit is held against the canary. `advice`: what metrics that only
        advise count; None: the same.
        """
        rows = {
            one.name: advice if one.advises and advice is not None else counts
            for one in self.plan.metrics
            if one.limit is not None or not chosen
        }
        look = Look(len(self.looks) + 1, start, end, share, rows, copied=copied, chosen=chosen, baseline=baseline)
        self.looks.append(look)
        self.judge.add(look)

    def share_lag(self, status: Status) -> str:
        return share_lag(self.looks, status.weight, status.weight_since or 0.0) or ""

    def recover(self) -> None:
        """Evidence is computed again from the looks that were written, and must be the same."""
        again = Judge.over(self.plan, self.looks)
        assert again.evidence() == self.judge.evidence()
        self.judge = again


def evidence_of(run: Run | None) -> Evidence:
    return run.judge.evidence() if run else NO_EVIDENCE


def of_canary(counts: Counts) -> Counts:
    """As there are where no stable version is."""
    return Counts(counts.canary_bad, counts.canary_total, 0, 0)
