"""What the looks of one attempt say: the same counts always give the same evidence, also after a restart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from controller.api.release import Analysis
from controller.core.bound import upper_bound
from controller.core.looks import NOTHING, Counts, Look
from controller.core.spending import Spending
from controller.core.xgs import LowerTail, Standing, UpperTail

SETTLE_S = 3.0
"""Where nothing is said, and nothing was learnt."""


class Verdict(Enum):
    UNDECIDED = "undecided"
    REGRESSION = "regression"
    NO_WORSE = "no-worse"
    NO_DATA = "no-data"


@dataclass(frozen=True)
class MetricPlan:
    """One metric as it is judged; fixed before the first look."""

    name: str
    odds: float
    """Odds ratio canary to stable that is still tolerated (ψ)."""
    promote: float | None = None
    """Odds ratio below which the canary has to be proven to be (ψ1); None: no proof is looked for."""

    @property
    def metric(self) -> str:
        """The metric of `metric` or `metric/threshold`."""
        return self.name.partition("/")[0]


@dataclass(frozen=True)
class AnalysisPlan:
    """Method and budget of one attempt, written into its AnalysisRun at the start and never changed."""

    alpha: float
    min_bad_units: int
    metrics: tuple[MetricPlan, ...]
    horizon: int | None = None
    """Number of looks, where it is known beforehand."""
    max_false_promotion: float = 0.05
    """Chance that a canary at `promote` or above is called no worse; per metric and release."""
    settle: float = SETTLE_S
    """Seconds after which a window's counts are taken for complete: so a restart looks at the same windows."""

    def alpha_of(self, metric: MetricPlan) -> float:
        """The union bound: metrics share the promise equally, and the thresholds of one share that metric's part."""
        names = {other.metric for other in self.metrics}
        thresholds = [other for other in self.metrics if other.metric == metric.metric]
        return self.alpha / (len(names) * len(thresholds))

    def spending(self, metric: MetricPlan) -> Spending:
        return Spending(self.alpha_of(metric), self.horizon)

    @property
    def proof_spending(self) -> Spending:
        """Not shared out: the canary is no worse when each metric is proven so, every one at this chance."""
        return Spending(self.max_false_promotion, self.horizon)


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
    """The boundary was crossed, with fewer bad units than a rollback asks for."""
    proof: Standing | None = None
    """Where the test for "no worse" stands, if there is one."""
    record: Record | None = field(default=None, compare=False, repr=False)

    @property
    def proven(self) -> bool:
        return self.verdict is Verdict.NO_WORSE

    def bound(self) -> str | None:
        """`errors at most 3.2 times stable's, 95 %`: what was not excluded. Costs some nine tests over all looks."""
        if self.record is None:
            return None
        bound = upper_bound(self.record.rows, self.record.spending)
        confidence = f"{1 - self.record.spending.alpha:.4g}"
        percent = f"{float(confidence) * 100:g} %"
        if bound is None:
            return f"{self.name}: no bound on the ratio to stable's, {percent}"
        return f"{self.name} at most {bound:.2g} times stable's, {percent}"

    def sentence(self) -> str:
        """`errors 3/812 vs 31/16240`, as the EVIDENCE column has it."""
        c = self.counts
        text = f"{self.name} {c.canary_bad}/{c.canary_total} vs {c.stable_bad}/{c.stable_total}"
        return f"{text} (p {self.standing.p:.2g})" if self.verdict is Verdict.REGRESSION else text


@dataclass(frozen=True)
class Evidence:
    looks: int
    metrics: tuple[MetricEvidence, ...]
    canary_units: int = 0
    """Units of the canary since the first look, by the metric that saw most of them."""

    @property
    def regression(self) -> MetricEvidence | None:
        return next((metric for metric in self.metrics if metric.verdict is Verdict.REGRESSION), None)

    @property
    def proven(self) -> bool:
        """Every metric is proven no worse."""
        return bool(self.metrics) and all(metric.proven for metric in self.metrics)

    def not_excluded(self) -> str:
        """The bounds of the metrics that are not proven, as a sentence; empty where none are to be had."""
        bounds = (metric.bound() for metric in self.metrics if not metric.proven)
        return ", ".join(bound for bound in bounds if bound is not None)

    @property
    def verdict(self) -> Verdict:
        """Of the release."""
        if self.regression is not None:
            return Verdict.REGRESSION
        if self.proven:
            return Verdict.NO_WORSE
        seen = any(metric.verdict is not Verdict.NO_DATA for metric in self.metrics)
        return Verdict.UNDECIDED if seen else Verdict.NO_DATA

    @property
    def nearest(self) -> MetricEvidence | None:
        """The metric nearest to a decision."""
        with_data = [metric for metric in self.metrics if metric.verdict is not Verdict.NO_DATA]
        return min(with_data, key=lambda metric: metric.standing.p, default=None)


NO_EVIDENCE = Evidence(looks=0, metrics=())


@dataclass
class _Judged:
    test: UpperTail
    proof: LowerTail | None
    looked: list[tuple[int, Counts]] = field(default_factory=list)
    counts: Counts = NOTHING
    seen: bool = False


@dataclass
class Judge:
    """Adds looks one by one; `evidence()` says where things stand."""

    plan: AnalysisPlan
    looks: int = 0
    _metrics: dict[str, _Judged] = field(default_factory=dict)

    def __post_init__(self) -> None:
        plan = self.plan
        self._metrics = {
            metric.name: _Judged(
                test=UpperTail(metric.odds, plan.spending(metric)),
                proof=None if metric.promote is None else LowerTail(metric.promote, plan.proof_spending),
            )
            for metric in plan.metrics
        }

    @classmethod
    def over(cls, plan: AnalysisPlan, looks: Iterable[Look]) -> Judge:
        judge = cls(plan)
        for look in looks:
            judge.add(look)
        return judge

    @classmethod
    def resumed(cls, plan: AnalysisPlan, looks: Iterable[Look], raw: Mapping[str, Any]) -> Judge:
        """As `over`, from what `to_raw` said after the last of these looks. Raises KeyError for another plan's."""
        judge = cls(plan)
        for look in looks:
            for _ in judge._counted(look):
                pass
        for name, judged in judge._metrics.items():
            judged.test.restore(raw[name]["test"])
            if judged.proof is not None:
                judged.proof.restore(raw[name]["proof"])
        return judge

    def to_raw(self) -> dict[str, Any]:
        """The tests' state, to the last bit. Without the counts, which the looks have."""
        return {
            name: {"test": judged.test.to_raw(), "proof": judged.proof.to_raw() if judged.proof is not None else None}
            for name, judged in self._metrics.items()
        }

    def add(self, look: Look) -> None:
        for judged, counts in self._counted(look):
            judged.test.add(look.number, counts)
            if judged.proof is not None:
                judged.proof.add(look.number, counts)

    def _counted(self, look: Look) -> Iterator[tuple[_Judged, Counts]]:
        """What was asked in this look, added up."""
        self.looks = look.number
        for name, judged in self._metrics.items():
            counts = look.rows.get(name)
            if counts is None:
                continue
            judged.seen = judged.seen or counts != NOTHING
            judged.counts += counts
            if judged.proof is not None:
                judged.looked.append((look.number, counts))
            yield judged, counts

    def evidence(self) -> Evidence:
        metrics = tuple(self._evidence_of(name, judged) for name, judged in self._metrics.items())
        return Evidence(self.looks, metrics, max((metric.counts.canary_total for metric in metrics), default=0))

    def _evidence_of(self, name: str, judged: _Judged) -> MetricEvidence:
        standing, proof = judged.test.standing, judged.proof.standing if judged.proof is not None else None
        enough = judged.counts.canary_bad >= self.plan.min_bad_units
        verdict = Verdict.UNDECIDED
        if standing.crossed:
            verdict = Verdict.REGRESSION if enough else Verdict.UNDECIDED
        elif proof is not None and proof.crossed:
            verdict = Verdict.NO_WORSE
        elif not judged.seen:
            verdict = Verdict.NO_DATA
        held_back = standing.crossed and not enough
        record = None if proof is None else Record(judged.looked, len(judged.looked), self.plan.proof_spending)
        return MetricEvidence(name, verdict, judged.counts, standing, held_back=held_back, proof=proof, record=record)


def units_since(looks: Sequence[Look], start: float) -> int:
    """Canary units in looks that began at `start` or later, by the metric that saw most of them.

    `looks` are in order, so that only those that count are read.
    """
    totals: dict[str, int] = {}
    for look in reversed(looks):
        if look.start < start:
            break
        for name, counts in look.rows.items():
            totals[name] = totals.get(name, 0) + counts.canary_total
    return max(totals.values(), default=0)


def method_of(analysis: Analysis, learnt: float = SETTLE_S) -> AnalysisPlan:
    """What a spec asks for: the operator judges by it, and `pointsman plan` foresees by the same.

    `learnt` is what `settle: auto` means here.
    """
    settle = analysis.advanced.settle
    return AnalysisPlan(
        alpha=analysis.alpha,
        min_bad_units=analysis.advanced.min_bad_units,
        metrics=tuple(
            MetricPlan(metric.name, metric.margin.rollback_above, metric.margin.promote_below)
            for metric in analysis.metrics
        ),
        max_false_promotion=analysis.advanced.max_false_promotion,
        settle=learnt if settle is None else settle,
    )


def plan_to_raw(plan: AnalysisPlan) -> dict[str, object]:
    raw: dict[str, object] = {
        "test": "xgs",
        "spending": "open" if plan.horizon is None else "horizon",
        "alpha": plan.alpha,
        "minBadUnits": plan.min_bad_units,
        "settle": plan.settle,
        "metrics": [_metric_to_raw(metric) for metric in plan.metrics],
    }
    if plan.horizon is not None:
        raw["looks"] = plan.horizon
    if any(metric.promote is not None for metric in plan.metrics):
        raw["maxFalsePromotion"] = plan.max_false_promotion
    return raw


def _metric_to_raw(metric: MetricPlan) -> dict[str, object]:
    proof = {} if metric.promote is None else {"promoteBelow": metric.promote}
    return {"name": metric.name, "rollbackAbove": metric.odds, **proof}


def plan_from_raw(raw: Mapping[str, object]) -> AnalysisPlan:
    """Raises TypeError for what is no method."""
    metrics, alpha, least, looks = raw.get("metrics"), raw.get("alpha"), raw.get("minBadUnits"), raw.get("looks")
    proof, settle = raw.get("maxFalsePromotion", 0.05), raw.get("settle", SETTLE_S)
    if not (
        isinstance(metrics, list)
        and isinstance(alpha, int | float)
        and isinstance(least, int)
        and isinstance(looks, int | None)
        and isinstance(proof, int | float)
        and isinstance(settle, int | float)
    ):
        raise TypeError(f"not a method: {raw!r}")
    return AnalysisPlan(
        alpha=float(alpha),
        min_bad_units=least,
        metrics=tuple(_metric_from_raw(metric) for metric in metrics),
        horizon=looks,
        max_false_promotion=float(proof),
        settle=float(settle),
    )


def _metric_from_raw(raw: Mapping[str, object]) -> MetricPlan:
    name, odds, promote = raw.get("name"), raw.get("rollbackAbove"), raw.get("promoteBelow")
    if not (isinstance(name, str) and isinstance(odds, int | float) and isinstance(promote, int | float | None)):
        raise TypeError(f"not a metric of a method: {raw!r}")
    return MetricPlan(name, float(odds), None if promote is None else float(promote))
