"""What a Release's analysis can see with given traffic, step by step: the arithmetic of `plan`, without a cluster."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from controller.analysis.method import method_of
from controller.api.analysis import AFTER_SWITCH
from controller.api.release import ReleaseSpec
from controller.cli._plan_rows import Row, span
from controller.rollout.bake import bake_weight
from controller.rollout.preview import are_judged_before_work, reach_of
from controller.rollout.strategy import words_of
from controller.stats.counts import metric_of
from controller.stats.method import PREVIEWS_SHARE, AnalysisPlan, MetricPlan
from controller.stats.power import (
    Level,
    Slacked,
    Traffic,
    chance_to_detect,
    looks_to_detect,
    looks_to_detect_above_limit,
    looks_to_prove,
)
from controller.stats.thresholds import Thresholds

LIFTS = (1.5, 2.0, 5.0)
_LIKELY = 0.5


@dataclass(frozen=True)
class Planned:
    """What is planned, with what traffic, and what has to be said about that."""

    spec: ReleaseSpec
    levels: Mapping[str, Level]
    """By metric, or by metric and threshold."""
    thresholds: Mapping[str, Thresholds] = field(default_factory=dict)
    """Of the metrics that have several, as they would be chosen now."""
    notes: tuple[str, ...] = ()

    @property
    def method(self) -> AnalysisPlan:
        """Of the steps; what comes after a switch has a part of its own."""
        reserve_at = bake_weight(self.spec.steps)
        part = PREVIEWS_SHARE if self.judged_before_switch else 1.0
        return method_of(self.spec.analysis, thresholds=self.thresholds, reserve_at=reserve_at, part=part)

    @property
    def judged_before_switch(self) -> bool:
        return bool(self.spec.strategy.switches) and are_judged_before_work(self.spec.steps)

    def level(self, metric: str) -> Level:
        """Of `metric` or `metric/threshold`."""
        return self.levels.get(metric) or self.levels[metric_of(metric)]


def foresee(planned: Planned, *, fresh: bool | None = None) -> list[Row]:
    """`fresh`: as it would be with a fresh baseline, or without; None: as the spec says."""
    spec, method = planned.spec, planned.method
    analysis = spec.analysis
    beside = spec.strategy.fresh_baseline if fresh is None else fresh
    rows: list[Row] = []
    weight = 0.0
    for number, step in enumerate(spec.steps, start=1):
        weight = weight if step.weight is None else step.weight
        copies = copied(step) if weight <= 0 else 0.0
        share = copies or weight
        if step.analyzes and share > 0:
            at = (number, share, step.at_most)
            for metric in method.metrics:
                if metric.limit is None and not metric.advises:
                    level = planned.level(metric.name)
                    compared = weight + min(weight, 100 - weight) if beside else 100.0
                    compared = compared if not copies else 100.0 + copies  # stable has all of the requests as well
                    units = level.rate * analysis.interval * compared / 100
                    seen = Traffic(units, level.base, share / compared)
                    row = _row(at, analysis.interval, method, metric, seen)
                    rows.append(replace(row, copies=copies > 0))
    return rows


def copied(step: Any) -> float:
    """Percent of the requests that a step has copied."""
    reach = reach_of(step)
    return 0.0 if reach is None else reach.mirror


def _row(
    step: tuple[int, float, float], interval: float, method: AnalysisPlan, metric: MetricPlan, seen: Traffic
) -> Row:
    """`step`: its number, weight in percent, and atMost in seconds."""
    number, weight, at_most = step
    looks = max(1, int(at_most / interval))
    outlook = {f"x{lift:g}": _outlook(method, metric, seen, lift, looks) for lift in LIFTS}
    return Row(
        step=number,
        weight=weight,
        metric=metric.name,
        at_most_s=at_most,
        canary_units=int(seen.units_per_look * seen.share * looks),
        minutes_to_detect={name: _minutes(needed, interval) for name, (needed, _) in outlook.items()},
        chance_to_detect={name: round(chance, 4) for name, (_, chance) in outlook.items()},
        minutes_to_prove=_minutes(_looks_to_prove(seen, method, metric), interval),
        provable=_looks_to_prove(seen, method, metric) <= looks,
    )


def _outlook(method: AnalysisPlan, metric: MetricPlan, seen: Traffic, lift: float, looks: int) -> tuple[float, float]:
    """Looks until a canary `lift` times as bad is convicted, and the chance that it is within `looks`."""
    odds = metric.odds or 1.0
    if metric.slack:
        slacked = Slacked(odds, metric.slack, method.alpha_of(metric))
        return slacked.looks_to_detect(seen, lift), slacked.chance_to_detect(seen, lift, looks)
    # what is tolerated is not seen: a canary twice as bad is 2/1.1 times as bad as the margin allows
    beyond, spending = lift / odds, method.spending(metric)
    if beyond <= 1:
        return math.inf, 0.0
    return looks_to_detect(seen, beyond, spending.alpha), chance_to_detect(seen, beyond, spending, looks)


def _looks_to_prove(seen: Traffic, method: AnalysisPlan, metric: MetricPlan) -> float:
    if metric.slack and metric.promote:
        return Slacked(metric.promote, metric.slack, method.max_false_promotion).looks_to_prove(seen)
    return looks_to_prove(seen, metric.promote, method.proof_spending) if metric.promote else math.inf


def _minutes(looks: float, interval: float) -> float | None:
    return round(max(1.0, looks) * interval / 60, 2) if math.isfinite(looks) else None


def advice(rows: list[Row], planned: Planned) -> list[str]:
    """What cannot work, and the way out."""
    said = [*_after_switch(planned), *_limits(planned), *_price_of_fresh(rows, planned)]
    advises = "it advises, so no step waits for it"
    advising = [f"{metric.name}: {advises}" for metric in planned.spec.analysis.metrics if metric.advises]
    if not rows and not said:
        return ["nothing is judged: no step has `analyze` with weight, or there are no metrics that judge", *advising]
    said += advising
    for metric in dict.fromkeys(row.metric for row in rows):
        of_it, level = [row for row in rows if row.metric == metric], planned.level(metric)
        if all(row.chance_to_detect["x2"] < _LIKELY for row in of_it):
            best = max(of_it, key=lambda row: row.weight)
            takes = "too long" if best.minutes_to_detect["x2"] is None else span(best.minutes_to_detect["x2"])
            said.append(
                f"{metric}: at {level.rate:.3g} requests/s and {best.weight:g} %{' of copies' if best.copies else ''} "
                "a doubled rate of "
                f"{100 * level.base:.3g} % would take "
                f"{takes}, and step {best.step} ends after {span(best.at_most_s / 60)}: raise "
                f"{'the share of copies' if best.copies else 'the weight'} or atMost"
            )
    for metric in dict.fromkeys(metric_of(row.metric) for row in rows):
        if not any(row.provable for row in rows if metric_of(row.metric) == metric):
            decides = f"onTimeout ({planned.spec.analysis.on_timeout}) decides"
            said.append(f"{metric}: no worse is not proven in time; {decides}")
    return said


def _price_of_fresh(rows: list[Row], planned: Planned) -> list[str]:
    """What a fresh baseline takes in time: it is smaller than all that stable has. Of each metric's first step."""
    if not planned.spec.strategy.fresh_baseline:
        return []
    without = {(row.step, row.metric): row for row in foresee(planned, fresh=False)}
    first = {row.metric: row for row in reversed(rows)}
    said = []
    for row in sorted(first.values(), key=lambda one: one.metric):
        other = without[row.step, row.metric]
        found = f"found in {span(row.minutes_to_detect['x2'])} instead of {span(other.minutes_to_detect['x2'])}"
        proof = f"proof takes {span(row.minutes_to_prove)} instead of {span(other.minutes_to_prove)}"
        said.append(
            f"{row.metric}: baseline: fresh compares with as much new work as the canary has, not with all of "
            f"stable's. At {row.weight:g} % a doubled rate is {found}, {proof}"
        )
    return said


def _after_switch(planned: Planned) -> list[str]:
    """What a strategy that switches can see: the old version's worst looks are taken to be as stable is."""
    if not planned.spec.strategy.switches:
        return []
    before = "nothing is compared"
    if planned.judged_before_switch:
        copies = any(step.analyzes and copied(step) > 0 for step in planned.spec.steps)
        judged = "copies are compared" if copies else "requests with the header are held to limits"
        before = f"{judged}, with half of maxFalseRollback"
    said = [f"before the switch {before}; after it, each look is compared with stable's last looks before it"]
    margins = {metric.name: metric.margin for metric in planned.spec.analysis.metrics}
    for metric in planned.method.metrics:
        margin = margins[metric.metric]
        if margin is not None and not metric.advises:
            after, base = margin.after_switch or AFTER_SWITCH, planned.level(metric.name).base
            said.append(
                f"{metric.name}: about {after.ratio * base + after.slack:.2%} bad in two looks in a row switches back "
                f"(stable has {base:.2%}). Nothing is randomized, so maxFalseRollback does not bound that"
            )
    return said


def _limits(planned: Planned) -> list[str]:
    """When a canary at twice its limit is found, at the greatest weight that is analyzed."""
    spec, method = planned.spec, planned.method
    weights, weight = [0.0], 0.0
    for step in spec.steps:
        weight = weight if step.weight is None else step.weight
        weights += [max(weight, copied(step))] if step.analyzes else []
    most, said = 100.0 if spec.strategy.switches else max(weights), list[str]()
    for metric in method.metrics:
        if metric.limit is not None and most > 0 and not metric.advises:
            units = planned.level(metric.name).rate * spec.analysis.interval * most / 100
            takes = _minutes(
                looks_to_detect_above_limit(units, metric.limit, 2, method.alpha_of(metric)), spec.analysis.interval
            )
            trial = words_of(switches=spec.strategy.switches).trial
            twice = f"{metric.name}: a {trial} at twice its limit of {metric.limit:.2%}"
            said.append(f"{twice} is found in {span(takes)} at {most:g} % of the work")
    return said
