"""What the looks of one attempt say: the same counts always give the same evidence, also after a restart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType
from typing import Any

from controller.api.release import Analysis, Metric
from controller.core.bound import upper_bound
from controller.core.limits import LimitTest
from controller.core.looks import NOTHING, Counts, Look, metric_of
from controller.core.margins import MarginProof, MarginTest
from controller.core.spending import Spending
from controller.core.thresholds import Thresholds
from controller.core.xgs import LowerTail, Standing, UpperTail

LIMITS_SHARE = 0.1
BAKES_SHARE = 0.2
SETTLE_S = 3.0
"""Where nothing is said, and nothing was learnt."""


class Verdict(Enum):
    UNDECIDED = "undecided"
    REGRESSION = "regression"
    NO_WORSE = "no-worse"
    NO_DATA = "no-data"
    COMMON_CAUSE = "common-cause"


@dataclass(frozen=True)
class MetricPlan:
    """One metric as it is judged; fixed before the first look."""

    name: str
    odds: float | None
    """Odds ratio canary to stable that is still tolerated (ψ); None where there is a limit."""
    promote: float | None = None
    """Odds ratio below which the canary has to be proven to be (ψ1); None: no proof is looked for."""
    limit: float | None = None
    """Rate of bad units, 0 to 1, that is tolerated of the canary alone."""
    slack: float = 0.0
    """Rate, 0 to 1, that is tolerated beyond the ratio. Then `odds` and `promote` are ratios of rates."""

    @property
    def metric(self) -> str:
        """The metric of `metric` or `metric/threshold`."""
        return metric_of(self.name)


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
    reserve_at: float | None = None
    """The bake's weight, in percent: a part of the budget is kept until the first look at it."""
    settle: float = SETTLE_S
    """Seconds after which a window's counts are taken for complete: so a restart looks at the same windows."""

    def alpha_of(self, metric: MetricPlan) -> float:
        """The union bound over all tests of the release.

        A tenth goes to the limits, where there are any beside compared metrics; each of a kind has an equal part, and
        the thresholds of one metric share that metric's.
        """
        alike = [other for other in self.metrics if (other.limit is None) == (metric.limit is None)]
        part = self.alpha
        if len(alike) < len(self.metrics):
            part *= 1 - LIMITS_SHARE if metric.limit is None else LIMITS_SHARE
        thresholds = [other for other in alike if other.metric == metric.metric]
        return part / (len({other.metric for other in alike}) * len(thresholds))

    def spending(self, metric: MetricPlan) -> Spending:
        return Spending(self.alpha_of(metric), self.horizon, 0.0 if self.reserve_at is None else BAKES_SHARE)

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
    limit: float | None = None
    """Where the canary is held to a rate of its own."""
    record: Record | None = field(default=None, compare=False, repr=False)

    @property
    def metric(self) -> str:
        """The metric of `metric` or `metric/threshold`."""
        return metric_of(self.name)

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
        against = f"vs {c.stable_bad}/{c.stable_total}" if self.limit is None else f"limit {self.limit:.2g}"
        text = f"{self.name} {c.canary_bad}/{c.canary_total} {against}"
        return f"{text} (p {self.standing.p:.2g})" if self.verdict is Verdict.REGRESSION else text

    def conviction(self, looks: int) -> str:
        """Why the version goes back, as a sentence."""
        c, p = self.counts, self.standing.p
        if self.limit is not None:
            return (
                f"{self.name}: {c.canary_bad} of {c.canary_total} bad on the canary, where at most {self.limit:.2%} "
                f"are allowed; so many have a chance of {p:.2g} if it kept to that (look {looks})"
            )
        return (
            f"{self.name}: {c.canary_bad} of {c.canary_total} bad on the canary against {c.stable_bad} of "
            f"{c.stable_total} on stable; so many have a chance of {p:.2g} "
            f"if it were no worse than tolerated (look {looks})"
        )


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
        """Every metric that is compared with stable is proven no worse, at one of its thresholds where it has
        several; and there is one.
        """
        compared = {metric.metric for metric in self.metrics if metric.limit is None}
        return bool(compared) and compared <= {metric.metric for metric in self.metrics if metric.proven}

    @property
    def common_cause(self) -> MetricEvidence | None:
        return next((metric for metric in self.metrics if metric.verdict is Verdict.COMMON_CAUSE), None)

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
        if self.common_cause is not None:
            return Verdict.COMMON_CAUSE
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
    test: UpperTail | LimitTest | MarginTest
    proof: LowerTail | MarginProof | None
    limit: float | None = None
    looked: list[tuple[int, Counts]] = field(default_factory=list)
    counts: Counts = NOTHING
    seen: bool = False


@dataclass
class Judge:
    """Adds looks one by one; `evidence()` says where things stand."""

    plan: AnalysisPlan
    looks: int = 0
    _opened: int | None = None
    """The first look of the bake."""
    _metrics: dict[str, _Judged] = field(default_factory=dict)

    def __post_init__(self) -> None:
        plan = self.plan
        self._metrics = {
            metric.name: _Judged(
                test=_test_of(metric, plan),
                proof=_proof_of(metric, plan),
                limit=metric.limit,
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
            if isinstance(judged.test, UpperTail):
                judged.test.add(look.number, counts, self._opened)
            else:
                judged.test.add(look.number, counts)
            if judged.proof is not None:
                judged.proof.add(look.number, counts)

    def _counted(self, look: Look) -> Iterator[tuple[_Judged, Counts]]:
        """What was asked in this look, added up."""
        self.looks = look.number
        reserve_at = self.plan.reserve_at
        if self._opened is None and reserve_at is not None and look.weight >= reserve_at:
            self._opened = look.number
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
        if isinstance(judged.test, LimitTest) and judged.test.common_cause:
            verdict = Verdict.COMMON_CAUSE
        elif standing.crossed:
            verdict = Verdict.REGRESSION if enough else Verdict.UNDECIDED
        elif proof is not None and proof.crossed:
            verdict = Verdict.NO_WORSE
        elif not judged.seen:
            verdict = Verdict.NO_DATA
        held_back = standing.crossed and not enough
        exact = isinstance(judged.proof, LowerTail)
        record = None if not exact else Record(judged.looked, len(judged.looked), self.plan.proof_spending)
        return MetricEvidence(
            name,
            verdict,
            judged.counts,
            standing,
            held_back=held_back,
            proof=proof,
            limit=judged.limit,
            record=record,
        )


def _test_of(metric: MetricPlan, plan: AnalysisPlan) -> UpperTail | LimitTest | MarginTest:
    if metric.limit is not None:
        return LimitTest(metric.limit, plan.alpha_of(metric))
    assert metric.odds is not None, f"{metric.name} has neither a margin nor a limit"  # noqa: S101 - read so
    if metric.slack:
        return MarginTest(metric.odds, metric.slack, plan.alpha_of(metric))
    return UpperTail(metric.odds, plan.spending(metric))


def _proof_of(metric: MetricPlan, plan: AnalysisPlan) -> LowerTail | MarginProof | None:
    if metric.promote is None:
        return None
    if metric.slack:
        return MarginProof(metric.promote, metric.slack, plan.max_false_promotion)
    return LowerTail(metric.promote, plan.proof_spending)


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


def method_of(
    analysis: Analysis,
    learnt: float = SETTLE_S,
    thresholds: Mapping[str, Thresholds] = MappingProxyType({}),
    *,
    reserve_at: float | None = None,
) -> AnalysisPlan:
    """What a spec asks for: the operator judges by it, and `pointsman plan` foresees by the same.

    `learnt` is what `settle: auto` means here; `thresholds` are those of the metrics that have several; `reserve_at` is
    the weight of a bake.
    """
    settle = analysis.advanced.settle
    return AnalysisPlan(
        alpha=analysis.alpha,
        min_bad_units=analysis.advanced.min_bad_units,
        metrics=tuple(plan for metric in analysis.metrics for plan in _plans_of(metric, thresholds.get(metric.name))),
        max_false_promotion=analysis.advanced.max_false_promotion,
        reserve_at=reserve_at,
        settle=learnt if settle is None else settle,
    )


def _plans_of(metric: Metric, thresholds: Thresholds | None) -> list[MetricPlan]:
    """A limit is a promise, and is kept at the threshold of the promise."""
    if thresholds is None:
        return [metric_plan(metric, metric.name)]
    if metric.limit is not None:
        return [metric_plan(metric, f"{metric.name}/{thresholds.always}")]
    plans = {edge: metric_plan(metric, f"{metric.name}/{edge}") for edge in thresholds.edges}
    return [plan if edge == thresholds.proof else replace(plan, promote=None) for edge, plan in plans.items()]


def metric_plan(metric: Metric, name: str) -> MetricPlan:
    """`name` is the metric's, or that of one threshold of it."""
    if metric.margin is None:
        return MetricPlan(name, None, limit=metric.limit)
    margin = metric.margin
    return MetricPlan(name, margin.rollback_above, margin.promote_below, slack=margin.slack)


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
    if plan.reserve_at is not None:
        raw["reserveAt"] = plan.reserve_at
    if any(metric.promote is not None for metric in plan.metrics):
        raw["maxFalsePromotion"] = plan.max_false_promotion
    return raw


def _metric_to_raw(metric: MetricPlan) -> dict[str, object]:
    if metric.limit is not None:
        return {"name": metric.name, "limit": metric.limit}
    proof = {} if metric.promote is None else {"promoteBelow": metric.promote}
    slack = {"slack": metric.slack} if metric.slack else {}
    return {"name": metric.name, "rollbackAbove": metric.odds, **proof, **slack}


def plan_from_raw(raw: Mapping[str, object]) -> AnalysisPlan:
    """Raises TypeError for what is no method."""
    metrics, alpha, least, looks = raw.get("metrics"), raw.get("alpha"), raw.get("minBadUnits"), raw.get("looks")
    proof, settle = raw.get("maxFalsePromotion", 0.05), raw.get("settle", SETTLE_S)
    reserve_at = raw.get("reserveAt")
    if not (
        isinstance(metrics, list)
        and isinstance(alpha, int | float)
        and isinstance(least, int)
        and isinstance(looks, int | None)
        and isinstance(proof, int | float)
        and isinstance(settle, int | float)
        and isinstance(reserve_at, int | float | None)
    ):
        raise TypeError(f"not a method: {raw!r}")
    return AnalysisPlan(
        alpha=float(alpha),
        min_bad_units=least,
        metrics=tuple(_metric_from_raw(metric) for metric in metrics),
        horizon=looks,
        max_false_promotion=float(proof),
        reserve_at=None if reserve_at is None else float(reserve_at),
        settle=float(settle),
    )


def _metric_from_raw(raw: Mapping[str, object]) -> MetricPlan:
    name, odds, promote = raw.get("name"), raw.get("rollbackAbove"), raw.get("promoteBelow")
    limit, slack = raw.get("limit"), raw.get("slack", 0)
    if isinstance(name, str) and isinstance(limit, int | float) and odds is None:
        return MetricPlan(name, None, limit=float(limit))
    if not (
        isinstance(name, str)
        and isinstance(odds, int | float)
        and isinstance(promote, int | float | None)
        and isinstance(slack, int | float)
    ):
        raise TypeError(f"not a metric of a method: {raw!r}")
    return MetricPlan(name, float(odds), None if promote is None else float(promote), slack=float(slack))
