"""Metrics whose mode is `advise`: measured while that costs the release nothing, and left out of looks otherwise.

A judging metric that cannot be asked keeps its window due, and the release waits. One that only advises must not: what
it lacks is in no look, and that is said. After a failure it is left alone for a while, so that a source that hangs
delays one look, and not each of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from controller.analysis.record import Run
from controller.analysis.sources import Question

AGAIN_S = 30.0


def judging(questions: Sequence[Question]) -> list[Question]:
    return [question for question in questions if not question.advises]


def as_planned(questions: Sequence[Question], run: Run) -> list[Question]:
    """The mode of a metric is fixed when its run begins, as its margin is: the budget is shared out by it."""
    modes = {metric.metric: metric.advises for metric in run.plan.metrics}
    return [replace(question, advises=modes.get(question.name, question.advises)) for question in questions]


def askable(questions: Sequence[Question], run: Run, now: float) -> list[Question]:
    """Without those that failed a moment ago."""
    failed = {name for name, (_, until) in run.unmeasured.items() if now < until}
    return [question for question in questions if not (question.advises and question.name in failed)]


def note(run: Run, questions: Collection[Question], failed: Mapping[str, str], now: float) -> None:
    """`failed`: why there is no answer, by the names of the metrics."""
    for question in questions:
        run.unmeasured.pop(question.name, None)
    run.unmeasured |= {name: (why, now + AGAIN_S) for name, why in failed.items()}


def sentence(run: Run, questions: Sequence[Question]) -> str:
    """Which of them are not measured now, and why; empty where all are."""
    planned = {metric.metric for metric in run.plan.metrics}
    said: list[str] = []
    for question in as_planned(questions, run):
        why = ""
        if question.advises and question.name not in planned:
            why = "it has no test in this rollout, and gets one in the next"
        elif question.advises:
            why, _ = run.unmeasured.get(question.name, ("", 0.0))
        if why:
            said.append(f"metric {question.name} advises, and is not measured: {why}")
    return "; ".join(said)
