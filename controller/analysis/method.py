"""From what a spec asks for to the method of an attempt: its tests, and their shares of the error budget."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from controller.api.analysis import AFTER_SWITCH, Analysis, Metric
from controller.stats.before import Before
from controller.stats.method import SETTLE_S, AnalysisPlan, MetricPlan
from controller.stats.thresholds import Thresholds


def method_of(
    analysis: Analysis,
    learnt: float = SETTLE_S,
    thresholds: Mapping[str, Thresholds] = MappingProxyType({}),
    *,
    reserve_at: float | None = None,
    part: float = 1.0,
) -> AnalysisPlan:
    """What a spec asks for: the operator judges by it, and `pointsman plan` foresees by the same.

    `learnt` is what `settle: auto` means here; `thresholds` are those of the metrics that have several; `reserve_at` is
    the weight of a bake; `part` is what this record has of the error budget.
    """
    settle = analysis.advanced.settle
    return AnalysisPlan(
        alpha=analysis.alpha * part,
        min_bad_units=analysis.advanced.min_bad_units,
        metrics=tuple(plan for metric in analysis.metrics for plan in _plans_of(metric, thresholds.get(metric.name))),
        max_false_promotion=analysis.advanced.max_false_promotion,
        reserve_at=reserve_at,
        settle=learnt if settle is None else settle,
    )


def controlled(plan: AnalysisPlan, halved: Collection[str], before: Mapping[str, str]) -> AnalysisPlan:
    """With a standing control for the metrics in `halved`, which goes on where `before` ended."""
    metrics = (
        # what was before a switch holds stable's own scatter already
        replace(metric, control=before.get(metric.name, ""))
        if metric.metric in halved and metric.before is None
        else metric
        for metric in plan.metrics
    )
    return replace(plan, metrics=tuple(metrics))


def compared_with_before(
    plan: AnalysisPlan, analysis: Analysis, looks: Mapping[str, Sequence[tuple[int, int]]]
) -> AnalysisPlan:
    """For a switch, where nothing has work beside the new version. `looks`: bad and all units of the old version in
    each of its last looks, by metric or threshold. Limits are as ever.
    """
    margins = {metric.name: metric.margin for metric in analysis.metrics}

    def compared(metric: MetricPlan) -> MetricPlan:
        margin = margins[metric.metric]
        if margin is None:
            return metric
        after = margin.after_switch or AFTER_SWITCH
        before = Before.of(looks.get(metric.name, ()))
        return MetricPlan(metric.name, after.ratio, slack=after.slack, before=before, advises=metric.advises)

    return replace(plan, metrics=tuple(map(compared, plan.metrics)))


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
        return MetricPlan(name, None, limit=metric.limit, advises=metric.advises)
    margin = metric.margin
    return MetricPlan(name, margin.rollback_above, margin.promote_below, slack=margin.slack, advises=metric.advises)
