"""Metrics whose one answer has counts at several thresholds: which of them an attempt is judged by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from controller.analysis.sources import MetricTroubleError, Question
from controller.api.reasons import Reason
from controller.stats.counts import NOTHING, Counts
from controller.stats.method import AnalysisPlan
from controller.stats.thresholds import Thresholds, choose

MOST_TESTS = 40
"""Of one attempt: a page of its record, 200 looks, has to stay far below what etcd takes."""
HISTORY_S = 600.0
"""So much of stable's past they are chosen from."""


def label(metric: str, threshold: str) -> str:
    return f"{metric}/{threshold}" if threshold else metric


def chosen(questions: Iterable[Question], counts: Mapping[str, tuple[int, int]]) -> dict[str, Thresholds]:
    """`counts`: units that were slower and all of them, by `metric/threshold`. Raises MetricTroubleError."""
    found: dict[str, Thresholds] = {}
    for question in questions:
        if question.always:
            prefix = label(question.name, "x")[:-1]
            history = {name.removeprefix(prefix): row for name, row in counts.items() if name.startswith(prefix)}
            if history and question.always not in history and not question.advises:
                edges = ", ".join(sorted(history, key=float))
                problem = f"{question.always} s is not one of the thresholds: {edges}"
                raise MetricTroubleError(Reason.METRIC_BROKEN, f"metric {question.name}: {problem}")
            found[question.name] = choose(history, question.always)
    return found


def judged(plan: AnalysisPlan, questions: Iterable[Question], rows: Mapping[str, Counts]) -> dict[str, Counts]:
    """The rows that the plan has a test for. A threshold without a row had nothing: its metric was asked."""
    names = {question.name for question in questions}
    return {metric.name: rows.get(metric.name, NOTHING) for metric in plan.metrics if metric.metric in names}
