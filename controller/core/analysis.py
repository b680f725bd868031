"""What the looks of one attempt say: the same counts always give the same evidence, also after a restart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from controller.core.looks import NOTHING, Counts, Look
from controller.core.xgs import Standing, UpperTail


class Verdict(Enum):
    UNDECIDED = "undecided"
    REGRESSION = "regression"
    NO_DATA = "no-data"


@dataclass(frozen=True)
class MetricPlan:
    """One metric as it is judged; fixed before the first look."""

    name: str
    odds: float
    """Odds ratio canary to stable that is still tolerated (ψ)."""


@dataclass(frozen=True)
class AnalysisPlan:
    """Method and budget of one attempt, written into its AnalysisRun at the start and never changed."""

    alpha: float
    min_bad_units: int
    metrics: tuple[MetricPlan, ...]

    @property
    def alpha_each(self) -> float:
        """The union bound shares the promise out equally."""
        return self.alpha / max(1, len(self.metrics))


@dataclass(frozen=True)
class MetricEvidence:
    name: str
    verdict: Verdict
    counts: Counts
    """Totals since the first look, for people; no test is made on them."""
    standing: Standing
    held_back: bool = False
    """The boundary was crossed, with fewer bad units than a rollback asks for."""

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
    def nearest(self) -> MetricEvidence | None:
        """The metric nearest to a decision."""
        with_data = [metric for metric in self.metrics if metric.verdict is not Verdict.NO_DATA]
        return min(with_data, key=lambda metric: metric.standing.p, default=None)


NO_EVIDENCE = Evidence(looks=0, metrics=())


@dataclass
class _Judged:
    test: UpperTail
    counts: Counts = NOTHING
    seen: bool = False


@dataclass
class Judge:
    """Adds looks one by one; `evidence()` says where things stand."""

    plan: AnalysisPlan
    looks: int = 0
    _metrics: dict[str, _Judged] = field(default_factory=dict)

    def __post_init__(self) -> None:
        alpha = self.plan.alpha_each
        self._metrics = {metric.name: _Judged(UpperTail(metric.odds, alpha)) for metric in self.plan.metrics}

    @classmethod
    def over(cls, plan: AnalysisPlan, looks: Iterable[Look]) -> Judge:
        judge = cls(plan)
        for look in looks:
            judge.add(look)
        return judge

    def add(self, look: Look) -> None:
        self.looks = look.number
        for name, judged in self._metrics.items():
            counts = look.rows.get(name)
            if counts is None:
                continue
            judged.seen = True
            judged.counts += counts
            judged.test.add(look.number, counts)

    def evidence(self) -> Evidence:
        metrics = tuple(self._evidence_of(name, judged) for name, judged in self._metrics.items())
        return Evidence(self.looks, metrics, max((metric.counts.canary_total for metric in metrics), default=0))

    def _evidence_of(self, name: str, judged: _Judged) -> MetricEvidence:
        standing = judged.test.standing
        enough = judged.counts.canary_bad >= self.plan.min_bad_units
        if standing.crossed and enough:
            verdict = Verdict.REGRESSION
        else:
            verdict = Verdict.UNDECIDED if judged.seen else Verdict.NO_DATA
        return MetricEvidence(name, verdict, judged.counts, standing, held_back=standing.crossed and not enough)


def units_between(looks: Iterable[Look], start: float) -> int:
    """Canary units in looks that began at `start` or later, by the metric that saw most of them."""
    totals: dict[str, int] = {}
    for look in looks:
        if look.start >= start:
            for name, counts in look.rows.items():
                totals[name] = totals.get(name, 0) + counts.canary_total
    return max(totals.values(), default=0)


def plan_to_raw(plan: AnalysisPlan) -> dict[str, object]:
    return {
        "test": "xgs",
        "spending": "open",
        "alpha": plan.alpha,
        "minBadUnits": plan.min_bad_units,
        "metrics": [{"name": metric.name, "rollbackAbove": metric.odds} for metric in plan.metrics],
    }


def plan_from_raw(raw: Mapping[str, object]) -> AnalysisPlan:
    metrics = raw["metrics"]
    alpha = raw["alpha"]
    least = raw["minBadUnits"]
    if not isinstance(metrics, list) or not isinstance(alpha, int | float) or not isinstance(least, int):
        raise TypeError(f"not a method: {raw!r}")
    return AnalysisPlan(
        alpha=float(alpha),
        min_bad_units=least,
        metrics=tuple(MetricPlan(str(metric["name"]), float(metric["rollbackAbove"])) for metric in metrics),
    )
