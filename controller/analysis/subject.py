"""What is analyzed, as the last pass of the reconcile loop has seen it; and what the pass finds of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from controller.analysis.record import PREVIEW, run_name
from controller.api.analysis import Analysis
from controller.api.revision import baseline_name
from controller.api.status import Status
from controller.kube.objects import Key
from controller.rollout.observation import MetricTrouble
from controller.stats.all_bad import Disaster
from controller.stats.counts import Look
from controller.stats.evidence import NO_EVIDENCE, Evidence

_MOST_CHANGES = 64
_WHOLE = 100.0


@dataclass(frozen=True)
class WeightChange:
    since: float
    """Seconds since the epoch."""
    weight: float
    """Percent."""
    baseline: float | None = None
    """Percent of a fresh baseline; None: there is none."""
    copied: float = 0.0
    """Percent of the requests whose copies the canary gets."""
    chosen: bool = False
    """Requests that people choose reach the canary."""

    @classmethod
    def before(cls, look: Look | None) -> WeightChange:
        """What was in force in the last look, from before all changes that are known."""
        return cls(0.0, 0.0) if look is None else cls(0.0, look.weight, look.baseline, look.copied, look.chosen)

    @property
    def compares(self) -> bool:
        """What the canary gets is a random part of all, or it gets nothing."""
        return self.weight > 0 or self.copied > 0 or not self.chosen


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
    """A router splits the work as the weight says, and not the number of pods, or the clients that it has."""
    sticky: bool = False
    """A router keeps each client with one version: only clients are units that are independent of each other."""
    reserve_at: float | None = None
    """The weight of a bake, in percent."""
    switches: bool = False
    """All of the work moves at once: what is compared is before and after."""
    judged_before: bool = False
    """A step before the switch analyzes what reaches the version without a weight."""
    earlier_weights: tuple[WeightChange, ...] = ()
    """Changes before the one in the status, as far as this process has seen them; the oldest first."""

    @property
    def weights(self) -> tuple[WeightChange, ...]:
        """The changes of this attempt's weight, the last one included."""
        status, since = self.status, self.status.weight_since
        if since is None:
            return self.earlier_weights
        baseline = status.baseline_weight if self._compares_with_baseline else None
        change = WeightChange(since, status.weight, baseline, status.copied, self._by_choice)
        return (*self.earlier_weights, change)

    def after(self, before: Subject) -> Subject:
        """The same, with the changes of the weight that were known `before`: two may lie in one window."""
        known = before.weights if before.status.weight_since != self.status.weight_since else before.earlier_weights
        return replace(self, earlier_weights=known[-_MOST_CHANGES:])

    @property
    def reference(self) -> str:
        """The revision whose counts stand beside the canary's now: stable, or the baseline of its new pods."""
        return self.reference_at(self.status.baseline_weight if self._compares_with_baseline else None)

    @property
    def _by_choice(self) -> bool:
        """What reaches the canary are requests that people choose, and no others."""
        return self.status.chosen and self.status.weight <= 0

    @property
    def _compares_with_baseline(self) -> bool:
        """It gets work with the canary, and is not expected to have any before."""
        return self.status.baseline != "" and not self._by_choice

    def reference_at(self, baseline: float | None) -> str:
        """In a look; `baseline`: what that says of one. The spec may have said otherwise then. Without a baseline that
        has work only stable can show that a limit is exceeded by everybody.
        """
        status = self.status
        if not baseline:
            return status.stable
        return baseline_name(status.stable, status.canary, status.attempts)

    @property
    def lacks_baseline(self) -> bool:
        """The canary has work, and its fresh baseline has none to compare it with."""
        status = self.status
        return status.baseline != "" and status.baseline_weight <= 0 and 0 < status.weight < _WHOLE

    @property
    def attempt(self) -> tuple[str, str, int]:
        """The attempt under way, or about to begin: its versions and its number. No result outlives it."""
        status = self.status
        return status.stable, self.target, status.attempts + (status.canary != self.target)

    @property
    def is_compared_with_before(self) -> bool:
        """A first version has none before it."""
        return self.switches and self.status.stable != ""

    @property
    def is_after_switch(self) -> bool:
        """The looks of now belong to the time after it, also while the work is back at stable for a moment."""
        status = self.status
        switched = status.attempt is not None and status.attempt.switched
        # a status from before it said so has the work, or the record
        return self.is_compared_with_before and (switched or status.weight > 0 or status.run == self._own_run)

    @property
    def run(self) -> str:
        """The record of the looks of now."""
        before = self.is_compared_with_before and not self.is_after_switch
        return self.preview_run if before else self._own_run

    @property
    def preview_run(self) -> str:
        """The record of what was judged before a switch."""
        return f"{self._own_run}{PREVIEW}"

    @property
    def has_two_runs(self) -> bool:
        """Each has its part of the error budget, also when the steps were edited in between."""
        return self.is_compared_with_before and (self.judged_before or self.preview_run in (self.run, self.status.run))

    @property
    def _own_run(self) -> str:
        return run_name(self.key, self.status.canary, self.status.attempts)

    @property
    def measures(self) -> bool:
        """The canary has, or has had, work, or requests that it is judged by without."""
        status = self.status
        has_work = status.weight > 0 or status.copied > 0 or status.chosen or status.run != ""
        return status.canary == self.target and has_work and status.weight_since is not None


def subject_of(
    key: Key,
    analysis: Analysis,
    status: Status,
    owner: Mapping[str, Any] | None,
    *,
    target: str,
    by_weight: bool,
    sticky: bool = False,
    reserve_at: float | None,
    switches: bool = False,
    judged_before: bool = False,
) -> Subject | None:
    """None where there is nothing to compare."""
    metrics = analysis.metrics
    if not status.stable:
        # the first version, which has all of the work and no stable beside it, is held to its limits alone
        metrics = tuple(metric for metric in metrics if metric.limit is not None and status.on_trial)
    if not metrics or target == status.stable or status.is_rejected(target):
        return None
    judging = replace(analysis, metrics=metrics)
    return Subject(
        key,
        judging,
        status,
        owner,
        target,
        by_weight,
        sticky=sticky,
        reserve_at=reserve_at,
        switches=switches,
        judged_before=judged_before,
    )


@dataclass(frozen=True)
class Drain:
    """Versions that have lost their work to stable and may still get some."""

    key: Key
    analysis: Analysis
    stable: str
    old: tuple[str, ...]
    since: float
    """Seconds since the epoch."""
    quiet: float
    """Seconds without work after which their pods go."""


@dataclass(frozen=True)
class AnalysisResult:
    """What is known now. The empty result says that nothing is."""

    pending: bool = False
    """Nothing was measured yet since the attempt, or this process, began: no weight rises on it."""
    run: str = ""
    evidence: Evidence = NO_EVIDENCE
    step_units: int = 0
    """Canary units that were judged since the step began."""
    looked_until: float | None = None
    """Where the last look ended, in seconds since the epoch; None while nothing is measured."""
    trouble: MetricTrouble | None = None
    disaster: Disaster | None = None
    share_lag: str = ""
    """That the router does not follow, in a sentence."""
    late: str = ""
    """What came too late for its window, and the look that was left out, in sentences."""
    cold_start: str = ""
    """That new pods of stable are worse than those that run, in a sentence."""
    unmeasured: str = ""
    """Which metrics that only advise cannot be measured now, and why, in sentences."""
    lacks_before: bool = False
    """Before a switch: too few of stable's looks had units to compare anything with them."""
    again_in: float | None = None
    """Seconds after which time alone changes the result."""
