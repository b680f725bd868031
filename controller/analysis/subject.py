"""What is analyzed, as the last pass of the reconcile loop has seen it; and what the pass finds of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from controller.api.release import Analysis
from controller.api.status import Status
from controller.kube.objects import Key
from controller.rollout.observation import MetricTrouble
from controller.stats.all_bad import Disaster
from controller.stats.evidence import NO_EVIDENCE, Evidence


@dataclass(frozen=True)
class Subject:
    key: Key
    analysis: Analysis
    """With the metrics that judge now."""
    status: Status
    owner: Mapping[str, Any] | None
    target: str
    """The revision that is, or is about to be, the canary."""
    by_weight: bool = True
    """A router splits the work as the weight says, and not the number of pods."""
    reserve_at: float | None = None
    """The weight of a bake, in percent."""

    @property
    def attempt(self) -> tuple[str, str, int]:
        """The attempt under way, or about to begin: its versions and its number. No result outlives it."""
        status = self.status
        return status.stable, self.target, status.attempts + (status.canary != self.target)

    @property
    def measures(self) -> bool:
        """The canary has, or has had, work."""
        status = self.status
        has_work = status.weight > 0 or status.run != ""
        return status.canary == self.target and has_work and status.weight_since is not None


def subject_of(
    key: Key,
    analysis: Analysis,
    status: Status,
    owner: Mapping[str, Any] | None,
    *,
    target: str,
    by_weight: bool,
    reserve_at: float | None,
) -> Subject | None:
    """None where there is nothing to compare."""
    metrics = analysis.metrics
    if not status.stable:
        # the first version, which has all of the work and no stable beside it, is held to its limits alone
        metrics = tuple(metric for metric in metrics if metric.limit is not None and status.on_trial)
    if not metrics or target == status.stable or status.is_rejected(target):
        return None
    return Subject(key, replace(analysis, metrics=metrics), status, owner, target, by_weight, reserve_at)


@dataclass(frozen=True)
class AnalysisResult:
    """What is known now. The empty result says that nothing is."""

    pending: bool = False
    """Nothing was measured yet since the attempt, or this process, began: no weight rises on it."""
    run: str = ""
    evidence: Evidence = NO_EVIDENCE
    step_units: int = 0
    """Canary units that were judged since the step began."""
    trouble: MetricTrouble | None = None
    disaster: Disaster | None = None
    following: str = ""
    """That the router does not follow, in a sentence."""
    late: str = ""
    """What came too late for its window, in a sentence."""
    again_in: float | None = None
    """Seconds after which time alone changes the result."""
