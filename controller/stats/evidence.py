"""What the looks of one attempt say: the same counts always give the same evidence, also after a restart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from controller.stats.before import Before
from controller.stats.before_after import BeforeAfterTest
from controller.stats.counts import NOTHING, Counts, Look, metric_of
from controller.stats.limits import LimitTest
from controller.stats.margins import MarginProof, MarginTest
from controller.stats.method import AnalysisPlan, MetricPlan
from controller.stats.overdispersion import Control
from controller.stats.spending import Spending
from controller.stats.upper_bound import upper_bound
from controller.stats.xgs import LowerTail, Standing, UpperTail


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
    """The boundary was crossed, with fewer bad units than a rollback asks for, or the metric only advises."""
    advises: bool = False
    """Stable's own halves differ too often, so it convicts nobody and proves nothing."""
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
    record: Record | None = field(default=None, compare=False, repr=False)

    @property
    def metric(self) -> str:
        """The metric of `metric` or `metric/threshold`."""
        return metric_of(self.name)

    @property
    def proven(self) -> bool:
        return self.verdict is Verdict.NO_WORSE

    def advice(self) -> str:
        """Why it only advises, as a sentence."""
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
    """Units of the canary since the first look, by the metric that saw most of them."""

    @property
    def regression(self) -> MetricEvidence | None:
        return next((metric for metric in self.metrics if metric.verdict is Verdict.REGRESSION), None)

    @property
    def proven(self) -> bool:
        """Every metric that is compared with stable is proven no worse, at one of its thresholds where it has
        several; and there is one.
        """
        compared = {metric.metric for metric in self.metrics if metric.limit is None and not metric.advises}
        return bool(compared) and compared <= {metric.metric for metric in self.metrics if metric.proven}

    @property
    def advice(self) -> str:
        """Of the metrics that only advise; empty where there is none."""
        return "; ".join(metric.advice() for metric in self.metrics if metric.advises)

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


Test = UpperTail | LimitTest | MarginTest | BeforeAfterTest


@dataclass
class _Judged:
    test: Test
    proof: LowerTail | MarginProof | None
    plan: MetricPlan
    control: Control | None = None
    looked: list[tuple[int, Counts]] = field(default_factory=list)
    counts: Counts = NOTHING
    copied: Counts = NOTHING
    seen: bool = False


@dataclass
class Judge:
    """Adds looks one by one; `evidence()` says where things stand."""

    plan: AnalysisPlan
    looks: int = 0
    _opened: int | None = None
    """The first look of the bake."""
    _reference: str = "stable"
    _metrics: dict[str, _Judged] = field(default_factory=dict)

    def __post_init__(self) -> None:
        plan = self.plan
        self._metrics = {
            metric.name: _Judged(
                test=_test_of(metric, plan),
                proof=_proof_of(metric, plan),
                plan=metric,
                control=None if metric.control is None else Control(metric.control),
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
            if judged.control is not None:
                judged.control = Control(raw[name]["control"])
        return judge

    def to_raw(self) -> dict[str, Any]:
        """The tests' state, to the last bit. Without the counts, which the looks have."""
        return {
            name: {
                "test": judged.test.to_raw(),
                "proof": judged.proof.to_raw() if judged.proof is not None else None,
                **({} if judged.control is None else {"control": judged.control.bits}),
            }
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
        for name, halves in look.halves.items():
            control = self._metrics[name].control if name in self._metrics else None
            if control is not None:
                control.add(halves)

    def controls(self) -> dict[str, str]:
        """What the standing control has seen, by metric or threshold; the next attempt goes on with it."""
        found = {name: judged.control for name, judged in self._metrics.items()}
        return {name: control.bits for name, control in found.items() if control is not None}

    def _counted(self, look: Look) -> Iterator[tuple[_Judged, Counts]]:
        """What was asked in this look, added up."""
        self.looks = look.number
        self._reference = "stable" if look.baseline is None else "the baseline"
        reserve_at = self.plan.reserve_at
        if self._opened is None and reserve_at is not None and look.weight >= reserve_at:
            self._opened = look.number
        for name, judged in self._metrics.items():
            counts = look.rows.get(name)
            if counts is None:
                continue
            judged.seen = judged.seen or counts != NOTHING
            judged.counts += counts
            if look.copied:
                judged.copied += counts
            if judged.proof is not None:
                judged.looked.append((look.number, counts))
            yield judged, counts

    def evidence(self) -> Evidence:
        metrics = tuple(self._evidence_of(name, judged) for name, judged in self._metrics.items())
        return Evidence(self.looks, metrics, max((metric.counts.canary_total for metric in metrics), default=0))

    def _evidence_of(self, name: str, judged: _Judged) -> MetricEvidence:
        standing, proof = judged.test.standing, judged.proof.standing if judged.proof is not None else None
        advises = judged.control is not None and judged.control.overdispersed
        enough = judged.counts.canary_bad >= self.plan.min_bad_units and not advises
        verdict = Verdict.UNDECIDED
        if isinstance(judged.test, LimitTest) and judged.test.common_cause:
            verdict = Verdict.COMMON_CAUSE
        elif standing.crossed:
            verdict = Verdict.REGRESSION if enough else Verdict.UNDECIDED
        elif proof is not None and proof.crossed and not advises:
            verdict = Verdict.NO_WORSE
        elif not judged.seen:
            verdict = Verdict.NO_DATA
        held_back = standing.crossed and not enough
        exact, counts, before = isinstance(judged.proof, LowerTail), judged.counts, judged.plan.before
        if before is not None:
            counts = Counts(counts.canary_bad, counts.canary_total, before.bad, before.total)
        record = None if not exact else Record(judged.looked, len(judged.looked), self.plan.proof_spending)
        return MetricEvidence(
            name,
            verdict,
            counts,
            standing,
            held_back=held_back,
            advises=advises,
            proof=proof,
            limit=judged.plan.limit,
            before=before,
            edge=judged.plan.edge,
            reference=self._reference,
            copied=judged.copied,
            record=record,
        )


def _test_of(metric: MetricPlan, plan: AnalysisPlan) -> Test:
    if metric.limit is not None:
        return LimitTest(metric.limit, plan.alpha_of(metric))
    assert metric.odds is not None, f"{metric.name} has neither a margin nor a limit"  # noqa: S101 - read so
    if metric.before is not None:
        return BeforeAfterTest(
            metric.before, metric.odds, metric.slack, plan.alpha_of(metric), min_bad=plan.min_bad_units
        )
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
