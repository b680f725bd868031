"""What the looks of one attempt have said: of each metric, and of the release."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import Enum

from controller.stats.before import Before
from controller.stats.counts import NOTHING, Counts, Look, metric_of
from controller.stats.spending import Spending
from controller.stats.upper_bound import upper_bound
from controller.stats.xgs import Standing


class Verdict(Enum):
    UNDECIDED = "undecided"
    REGRESSION = "regression"
    NO_WORSE = "no-worse"
    NO_DATA = "no-data"
    COMMON_CAUSE = "common-cause"


@dataclass(frozen=True)
class Record:
    """What a metric's proof is made of: the looks' numbers and counts."""

    looked: Sequence[tuple[int, Counts]]
    length: int
    """The list grows with each look; this evidence ends here."""
    spending: Spending

    @property
    def rows(self) -> Sequence[tuple[int, Counts]]:
        return self.looked[: self.length]


@dataclass(frozen=True)
class MetricEvidence:
    name: str
    verdict: Verdict
    counts: Counts
    """Totals since the first look, for people; no test is made on them."""
    standing: Standing
    held_back: bool = False
    """The boundary was crossed, with fewer bad units than a rollback asks for, or the metric is overdispersed."""
    overdispersed: bool = False
    """Stable's own halves differ too often, so it convicts nobody and proves nothing."""
    advises: bool = False
    """Its mode is `advise`: whatever it shows, it decides nothing."""
    proof: Standing | None = None
    """Where the test for "no worse" stands, if there is one."""
    limit: float | None = None
    """Where the canary is held to a rate of its own."""
    before: Before | None = None
    """Where the canary is compared with what was before the switch. Then `counts` has that version's looks of then."""
    edge: float | None = None
    """The rate, 0 to 1, that is tolerated after the switch."""
    reference: str = "stable"
    """What the other row of its looks is called."""
    copied: Counts = NOTHING
    """The part of `counts` that is of copies of requests, whose answers nobody got."""
    alone: Counts = NOTHING
    """Beside `counts`: while the baseline had no work, with stable's units of the same time. In no test."""
    record: Record | None = field(default=None, compare=False, repr=False)

    @property
    def metric(self) -> str:
        """The metric of `metric` or `metric/threshold`."""
        return metric_of(self.name)

    @property
    def proven(self) -> bool:
        return self.verdict is Verdict.NO_WORSE

    def scatter(self) -> str:
        """Why it is advisory though its mode is `judge`, as a sentence."""
        return f"{self.name} is advisory: {self.reference}'s own pods differ more often than chance allows"

    def bound(self) -> str | None:
        """`errors at most 3.2 times stable's, 95 %`: what was not excluded. Costs some nine tests over all looks."""
        if self.record is None:
            return None
        bound = upper_bound(self.record.rows, self.record.spending)
        confidence = f"{1 - self.record.spending.alpha:.4g}"
        percent = f"{float(confidence) * 100:g} %"
        if bound is None:
            return f"{self.name}: {percent} upper bound on the ratio to {self.reference}'s: none yet"
        return f"{self.name} at most {bound:.2g} times {self.reference}'s, {percent}"

    def sentence(self) -> str:
        """`errors 3/812 vs 31/16240`, as the EVIDENCE column has it."""
        c = self.counts
        against = f"vs {c.stable_bad}/{c.stable_total}" if self.limit is None else f"limit {self.limit:.2g}"
        text = f"{self.name} {c.canary_bad}/{c.canary_total} {against}"
        if self.before is not None:
            return f"{text} before"
        return f"{text} (p {self.standing.p:.2g})" if self.verdict is Verdict.REGRESSION else text

    def explanation(self, looks: int, trial: str = "canary") -> str:
        """Why the version goes back, as a sentence. `trial` is what it is called."""
        c, p = self.counts, self.standing.p
        if self.limit is not None:
            return (
                f"{self.name}: {c.canary_bad} of {c.canary_total} bad on the {trial}, where at most {self.limit:.2%} "
                f"are allowed; p = {p:.2g} that a {trial} within that limit shows as many (look {looks})"
            )
        if self.before is not None and self.edge is not None:
            return (
                f"{self.name}: {c.canary_bad} of {c.canary_total} bad since the switch, {c.stable_bad} of "
                f"{c.stable_total} before it; more than {self.edge:.2%} in two looks in a row (look {looks}). Before "
                "and after are no random split, so the chance that the version is not to blame has no bound"
            )
        return (
            f"{self.name}: {c.canary_bad} of {c.canary_total} bad on the {trial}, {c.stable_bad} of {c.stable_total} "
            f"on {self.reference}; p = {p:.2g} that a {trial} within its margin shows as many (look {looks})"
        )


@dataclass(frozen=True)
class Evidence:
    looks: int
    metrics: tuple[MetricEvidence, ...]
    canary_units: int = 0
    """Units of the canary since the first look, by the judging metric that saw most of them."""

    @property
    def judging(self) -> tuple[MetricEvidence, ...]:
        """The metrics that decide."""
        return tuple(metric for metric in self.metrics if not metric.advises)

    @property
    def regression(self) -> MetricEvidence | None:
        return next((metric for metric in self.judging if metric.verdict is Verdict.REGRESSION), None)

    @property
    def reported(self) -> tuple[MetricEvidence, ...]:
        """The metrics that only advise, and found a regression."""
        return tuple(metric for metric in self.metrics if metric.advises and metric.verdict is Verdict.REGRESSION)

    @property
    def held_back(self) -> MetricEvidence | None:
        """A metric that may be a regression, and is not acted on."""
        return next((metric for metric in self.judging if metric.held_back), None)

    @property
    def proven(self) -> bool:
        """Every metric that is compared with stable is proven no worse, at one of its thresholds where it has
        several; and there is one.
        """
        compared = {metric.metric for metric in self.judging if metric.limit is None and not metric.overdispersed}
        return bool(compared) and compared <= {metric.metric for metric in self.metrics if metric.proven}

    @property
    def advice(self) -> str:
        """Of the metrics that only advise, and of those that are overdispersed; empty where there is none."""
        said = [metric.scatter() for metric in self.judging if metric.overdispersed]
        return "; ".join([*said, *(f"{metric.sentence()}: {ADVISES}" for metric in self.reported)])

    @property
    def common_cause(self) -> MetricEvidence | None:
        return next((metric for metric in self.judging if metric.verdict is Verdict.COMMON_CAUSE), None)

    def not_excluded(self) -> str:
        """The bounds of the metrics that are not proven, as a sentence; empty where none are to be had."""
        bounds = (metric.bound() for metric in self.judging if not metric.proven)
        return ", ".join(bound for bound in bounds if bound is not None)

    @property
    def verdict(self) -> Verdict:
        """Of the release."""
        if self.regression is not None:
            return Verdict.REGRESSION
        if self.proven:
            return Verdict.NO_WORSE
        if self.common_cause is not None:
            return Verdict.COMMON_CAUSE
        seen = any(metric.verdict is not Verdict.NO_DATA for metric in self.judging)
        return Verdict.UNDECIDED if seen else Verdict.NO_DATA

    @property
    def nearest(self) -> MetricEvidence | None:
        """The metric nearest to a decision; where all only advise, to a report."""
        with_data = [metric for metric in self.judging or self.metrics if metric.verdict is not Verdict.NO_DATA]
        return min(with_data, key=lambda metric: metric.standing.p, default=None)


ADVISES = "its mode is advise, so nothing is rolled back for it"
NO_EVIDENCE = Evidence(looks=0, metrics=())


def units_since(looks: Sequence[Look], start: float, names: Collection[str] | None = None) -> int:
    """Canary units in looks that began at `start` or later, by the metric that saw most of them. Those beside no
    baseline were not compared; with all of the work on the canary none can be beside it, and they count.

    `names`: of the rows that count; None: all.
    `looks` are in order, so that only those that count are read.
    """
    totals: dict[str, int] = {}
    for look in reversed(looks):
        if look.start < start:
            break
        for name, counts in () if look.lacks_baseline and look.share < 1 else look.rows.items():
            if names is None or name in names:
                totals[name] = totals.get(name, 0) + counts.canary_total
    return max(totals.values(), default=0)
