"""Counts of the look that is not over yet: they enter no test, and only show whether everything is bad."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from controller.analysis import large_looks
from controller.analysis.asking import ask
from controller.analysis.record import Run
from controller.analysis.schedule import FAST_S, fast_moment
from controller.analysis.sources import MetricTroubleError, Question
from controller.analysis.subject import Subject
from controller.api.times import as_datetime
from controller.ports import Window
from controller.stats.all_bad import Disaster, disaster
from controller.stats.lost_baseline import disaster_alone, first_looks, fresh_units

_LOST_AT_MOST_S = 600.0
"""Of the time without a baseline, so much is asked for: a longer window of a busy service is a slow query."""


async def at_once(run: Run, questions: Sequence[Question], subject: Subject, now: float) -> Disaster | None:
    """Asked once a second at most. `questions` are about `subject.reference`."""
    moment = fast_moment(now, run.end)
    if moment - run.provisional_at >= FAST_S / 2:
        run.provisional_at = moment
        if subject.lacks_baseline:
            run.provisional = await _without_baseline(run, questions, subject, now)
        else:
            run.provisional = await _since_the_last_look(run, questions, subject, moment)
    # what was found stays found until it is asked again: the write that acts on it may meet a conflict
    return run.provisional


def _odds_of(run: Run) -> dict[str, float]:
    """Of the metrics that a version may be taken back for at once."""
    metrics = run.plan.metrics
    return {metric.name: metric.odds for metric in metrics if metric.odds is not None and not metric.advises}


async def _without_baseline(run: Run, questions: Sequence[Question], subject: Subject, now: float) -> Disaster | None:
    """Of the time since the baseline lost its work, with stable in its place."""
    since = max(subject.status.weight_since or run.started, run.started, now - _LOST_AT_MOST_S)
    looks = first_looks(run.looks, now - since)
    odds = _odds_of(run)
    if not looks or not odds:
        return None
    # replaced pods are cold again, and the analysis does not know when that happens
    fit = [one for one in questions if not one.maturity and not one.warm_up and not one.advises]
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


async def _since_the_last_look(
    run: Run, questions: Sequence[Question], subject: Subject, until: float
) -> Disaster | None:
    """From what has come in since the last look, complete or not. An outage here is the next look's to report."""
    odds = _odds_of(run)
    before = {metric.name: metric.before for metric in run.plan.metrics if metric.before is not None}
    if until <= run.end or not odds or not subject.weights[-1].compares:
        return None
    window = Window(as_datetime(run.end), as_datetime(until))
    try:
        ripe = [question for question in questions if not question.maturity and not question.advises]
        rows = await ask(ripe, window, stable=subject.reference, canary=subject.status.canary)
    except MetricTroubleError:
        return None
    if large_looks.is_large(rows, {}):
        return None  # the look will say so, which is written down first
    found = (disaster(name, counts, odds[name], before.get(name)) for name, counts in rows.items() if name in odds)
    worst = next((one for one in found if one is not None), None)
    fresh = subject.reference != subject.status.stable
    return replace(worst, reference="the baseline") if worst is not None and fresh else worst
