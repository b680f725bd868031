"""From the looks of a run to what a pass has to know. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from controller.analysis import advisers, large_looks, late_points
from controller.analysis.record import Run
from controller.analysis.sources import Question
from controller.analysis.subject import AnalysisResult, Subject
from controller.api.reasons import Reason
from controller.rollout.observation import MetricTrouble, common_cause
from controller.rollout.strategy import words_of
from controller.stats.data_gap import missing
from controller.stats.evidence import units_since
from controller.stats.share_lag import share_lag
from controller.stats.share_mismatch import OF_THE_PROMISE, gap


def result_of(subject: Subject, run: Run, questions: Sequence[Question], found: MetricTrouble | None) -> AnalysisResult:
    """`found`: why the windows that are due could not be measured, which comes before everything that was measured."""
    evidence, status = run.judge.evidence(), subject.status
    return AnalysisResult(
        run=run.name,
        evidence=evidence,
        step_units=units_since(run.looks, status.step_since, run.plan.judging),
        looked_until=run.end,
        trouble=found
        or large_looks.trouble(run)
        or _missing(run, subject)
        or common_cause(evidence, words_of(switches=subject.switches).trial)
        or _gap(run, questions, subject),
        share_lag=router_lag(subject, run),
        unmeasured=advisers.sentence(run, questions),
        late="; ".join(filter(None, (late_points.sentence(run), large_looks.sentence(run)))),
    )


def router_lag(subject: Subject, run: Run) -> str:
    """That the router does not follow the weight that is in force now, in a sentence."""
    if not subject.by_weight:
        return ""
    status = subject.status
    return share_lag(run.looks, status.weight, status.weight_since or 0.0, names=run.plan.judging) or ""


def _missing(run: Run, subject: Subject) -> MetricTrouble | None:
    trial = words_of(switches=subject.switches).trial
    reached = subject.status.weight > 0 or subject.status.copied > 0
    sentence = missing(run.looks, run.baseline_rates, trial, names=run.plan.judging) if reached else None
    return MetricTrouble(Reason.METRICS_MISSING, sentence) if sentence is not None else None


def _gap(run: Run, questions: Sequence[Question], subject: Subject) -> MetricTrouble | None:
    status = subject.status
    if not subject.by_weight or not status.stable:
        return None
    counted = {question.name for question in questions if question.at_router}
    names = [metric.name for metric in run.plan.metrics if metric.metric in counted and not metric.advises]
    chance = run.plan.alpha * OF_THE_PROMISE
    sentence = gap(run.looks, names, status.weight, status.weight_since or 0.0, chance)
    return MetricTrouble(Reason.WORK_MISSING, sentence) if sentence is not None else None
