"""Versions that hang: a request that never ends is in no metric that counts requests when they end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from controller.api.metrics import MetricTemplate
from controller.api.reading import SpecError
from controller.api.release import ReleaseSpec
from controller.cli._report import UnwiseError


def hang_problems(spec: ReleaseSpec, templates: Mapping[str, MetricTemplate]) -> Iterator[SpecError]:
    """`templates` are those that are known, by the names of the metrics. Of an unknown one nothing is said."""
    rules = getattr(spec.traffic.config, "rules", None)
    metrics = spec.analysis.judging
    if rules is None or not metrics or any(metric.name not in templates for metric in metrics):
        return
    if any(templates[metric.name].in_progress for metric in metrics):
        return
    if rules and all((rule.get("timeouts") or {}).get("request") for rule in rules):
        return
    yield UnwiseError(
        f"spec.traffic.{spec.traffic.kind}.rules",
        "a version that hangs is not seen: each metric counts requests when they end, and no time-out of the router "
        "ends them. Set timeouts.request in each rule, or use a template with inProgress, such as http-latency",
    )
