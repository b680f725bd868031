"""Judges the looks of one attempt: the same counts always give the same evidence, also after a restart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.stats.before_after import BeforeAfterTest
from controller.stats.counts import NOTHING, Counts, Look
from controller.stats.evidence import Evidence, MetricEvidence, Record, Verdict
from controller.stats.limits import LimitTest
from controller.stats.margins import MarginProof, MarginTest
from controller.stats.method import AnalysisPlan, MetricPlan
from controller.stats.overdispersion import Control
from controller.stats.xgs import LowerTail, UpperTail

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
    alone: Counts = NOTHING
    reference: str = "stable"
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
        reserve_at = self.plan.reserve_at
        if self._opened is None and reserve_at is not None and look.weight >= reserve_at:
            self._opened = look.number
        for name, judged in self._metrics.items():
            counts = look.rows.get(name)
            if counts is None:
                continue
            judged.seen = judged.seen or counts != NOTHING
            if look.lacks_baseline and judged.plan.limit is None:
                # stable's pods are warm: what the canary's new ones do beside them is no comparison
                judged.alone += counts if counts.canary_total else NOTHING
                continue
            judged.reference = "the baseline" if look.baseline else "stable"
            judged.counts += counts
            if look.copied:
                judged.copied += counts
            if judged.proof is not None:
                judged.looked.append((look.number, counts))
            yield judged, counts

    def evidence(self) -> Evidence:
        metrics = tuple(self._evidence_of(name, judged) for name, judged in self._metrics.items())
        units = (metric.counts.canary_total for metric in metrics if not metric.advises)
        return Evidence(self.looks, metrics, max(units, default=0))

    def _evidence_of(self, name: str, judged: _Judged) -> MetricEvidence:
        standing, proof = judged.test.standing, judged.proof.standing if judged.proof is not None else None
        overdispersed = judged.control is not None and judged.control.overdispersed
        enough = judged.counts.canary_bad >= self.plan.min_bad_units and not overdispersed
        verdict = Verdict.UNDECIDED
        if isinstance(judged.test, LimitTest) and judged.test.common_cause:
            verdict = Verdict.COMMON_CAUSE
        elif standing.crossed:
            verdict = Verdict.REGRESSION if enough else Verdict.UNDECIDED
        elif proof is not None and proof.crossed and not overdispersed:
            verdict = Verdict.NO_WORSE
        elif not judged.seen:
            verdict = Verdict.NO_DATA
        held_back = standing.crossed and not enough and not judged.plan.advises
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
            overdispersed=overdispersed,
            advises=judged.plan.advises,
            proof=proof,
            limit=judged.plan.limit,
            before=before,
            edge=judged.plan.edge,
            reference=judged.reference,
            copied=judged.copied,
            alone=judged.alone,
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
