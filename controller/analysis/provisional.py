"""Counts of the look that is not over yet: they enter no test, and only show whether everything is bad."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from controller.analysis import large_looks
from controller.analysis.asking import ask
from controller.analysis.record import Run
from controller.analysis.schedule import FAST_S
from controller.analysis.sources import MetricTroubleError, Question
from controller.analysis.subject import Subject
from controller.api.times import as_datetime
from controller.ports import Window
from controller.stats.all_bad import Disaster, disaster
from controller.stats.lost_baseline import disaster_alone, first_looks, fresh_units

_LOST_AT_MOST_S = 600.0
"""Of the time without a baseline, so much is asked for: a longer window of a busy service is a slow query."""


async def at_once(run: Run, questions: Sequence[Question], subject: Subject, now: float) -> Disaster | None:
    """Asked once a second at most."""
    if now - run.provisional_at >= FAST_S:
        run.provisional_at = now
        run.provisional = await _provisional(run, questions, subject, now)
    # what was found stays found until it is asked again: the write that acts on it may meet a conflict
    return run.provisional


async def without_baseline(run: Run, questions: Sequence[Question], subject: Subject, now: float) -> Disaster | None:
    """As `at_once`, of the time since the baseline lost its work. `questions` are about stable in its place."""
    if now - run.provisional_at >= FAST_S:
        run.provisional_at = now
        run.provisional = await _without_baseline(run, questions, subject, now)
    return run.provisional


async def _without_baseline(run: Run, questions: Sequence[Question], subject: Subject, now: float) -> Disaster | None:
    since = max(subject.status.weight_since or run.started, run.started, now - _LOST_AT_MOST_S)
    looks = first_looks(run.looks, now - since)
    odds = {metric.name: metric.odds for metric in run.plan.metrics if metric.odds is not None}
    if not looks or not odds:
        return None
    # replaced pods are cold again, and the analysis does not know when that happens
    fit = [question for question in questions if not question.maturity and not question.warm_up]
    window = Window(as_datetime(since), as_datetime(now))
    try:
        rows = await ask(fit, window, stable=subject.status.stable, canary=subject.status.canary)
    except MetricTroubleError:
        return None
    found = (
        disaster_alone(name, counts, fresh_units(looks, name), odds[name])
        for name, counts in rows.items()
        if name in odds
    )
    return next((one for one in found if one is not None), None)


async def _provisional(run: Run, questions: Sequence[Question], subject: Subject, now: float) -> Disaster | None:
    """From what has come in since the last look, complete or not. An outage here is the next look's to report."""
    odds = {metric.name: metric.odds for metric in run.plan.metrics if metric.odds is not None}
    before = {metric.name: metric.before for metric in run.plan.metrics if metric.before is not None}
    if now <= run.end or not odds or not subject.weights[-1].compares:
        return None
    window = Window(as_datetime(run.end), as_datetime(now))
    try:
        at_once = [question for question in questions if not question.maturity]
        rows = await ask(at_once, window, stable=subject.reference, canary=subject.status.canary)
    except MetricTroubleError:
        return None
    if large_looks.is_large(rows, {}):
        return None  # the look will say so, which is written down first
    found = (disaster(name, counts, odds[name], before.get(name)) for name, counts in rows.items() if name in odds)
    worst = next((one for one in found if one is not None), None)
    return replace(worst, reference="the baseline") if worst is not None and subject.status.baseline else worst
