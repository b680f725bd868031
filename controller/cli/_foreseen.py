"""Steps of a Release that can never say anything, by the arithmetic of `plan`: for any traffic, or for a given one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby

from controller.api.metrics import MetricTemplate
from controller.api.reading import SpecError
from controller.api.release import ReleaseSpec
from controller.cli._power_plan import Planned, advice, foresee
from controller.cli._report import UnwiseError
from controller.rollout.preview import reach_of
from controller.stats.power import Level

_ENDLESS = 1e6
"""Requests per second. What is not proven with so many is not proven with any number."""
_BASES = (0.001, 0.01, 0.1)


def evidence_problems(
    spec: ReleaseSpec, templates: Mapping[str, MetricTemplate], level: Level | None
) -> Iterator[SpecError]:
    """`templates` are those that are known, by the names of the metrics."""
    if not spec.analysis.judging or spec.strategy.switches:
        return
    silent = list(_silent_steps(spec, templates))
    yield from silent
    if silent or any(template.always for template in templates.values()):
        return
    if level is not None:
        yield from _with_traffic(spec, level)
    yield from _never_proven(spec)


def _silent_steps(spec: ReleaseSpec, templates: Mapping[str, MetricTemplate]) -> Iterator[SpecError]:
    interval, warm_up = spec.analysis.interval, spec.analysis.advanced.warm_up
    weight = 0.0
    for index, step in enumerate(spec.steps):
        weight = weight if step.weight is None else step.weight
        if not step.analyzes or step.at_most is None:
            continue
        path = f"spec.strategy.{spec.strategy_kind}.steps[{index}]"
        if weight == 0 and reach_of(step) is None:
            yield SpecError(f"{path}.weight", "a canary without work cannot be analyzed: give it a share of the work")
            continue
        at_most = f"{path}.analyze.atMost"
        if step.at_most < interval:
            yield SpecError(at_most, f"ends before the first look: spec.analysis.interval is {interval:g} s")
            continue
        late = {
            metric.name: template.maturity + (warm_up if template.warm_up else 0.0)
            for metric in spec.analysis.judging
            if (template := templates.get(metric.name)) is not None
        }
        mute = [name for name, seconds in late.items() if step.at_most < seconds + interval]
        if mute:
            needed = max(late[name] for name in mute) + interval
            said = f"{', '.join(mute)} cannot be compared before {needed:g} s (warm-up, or the cohort's maturity)"
            kind = SpecError if len(mute) == len(spec.analysis.judging) else UnwiseError
            yield kind(at_most, f"{said}: raise it")


def _with_traffic(spec: ReleaseSpec, level: Level) -> Iterator[SpecError]:
    planned = Planned(spec, {metric.name: level for metric in spec.analysis.metrics})
    rows = foresee(planned)
    least = spec.analysis.advanced.min_units
    for number, of_step in groupby(rows, key=lambda row: row.step):
        units = max(row.canary_units for row in of_step)
        if units < least:
            yield SpecError(
                f"spec.strategy.{spec.strategy_kind}.steps[{number - 1}].analyze.atMost",
                f"the canary gets {units} units by then, and at least {least} are needed "
                "(spec.analysis.advanced.minUnits): raise the weight or atMost, or the rollout waits here",
            )
    for sentence in advice(rows, planned):
        yield UnwiseError("spec.analysis.metrics", sentence)


def _never_proven(spec: ReleaseSpec) -> Iterator[SpecError]:
    compared = [metric for metric in spec.analysis.judging if metric.margin is not None]
    names = {metric.name for metric in compared}
    provable: set[str] = set()
    analyzed = False
    for base in _BASES:
        rows = foresee(Planned(spec, {metric.name: Level(_ENDLESS, base) for metric in spec.analysis.metrics}))
        analyzed = analyzed or bool(rows)
        provable |= {row.metric for row in rows if row.provable}
    for index, metric in enumerate(spec.analysis.metrics):
        if analyzed and metric.name in names - provable:
            yield UnwiseError(
                f"spec.analysis.metrics[{index}].margin",
                "no worse is never proven in these steps, however many requests there are: spec.analysis.onTimeout "
                f"({spec.analysis.on_timeout}) decides each time",
            )
