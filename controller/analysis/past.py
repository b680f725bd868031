"""What versions did before now, by which thresholds are chosen and releases are planned."""

from __future__ import annotations

import time
from collections.abc import Sequence

from controller.analysis.asking import ask
from controller.analysis.sources import Question, Sources
from controller.analysis.thresholds import HISTORY_S, chosen
from controller.api.analysis import Metric
from controller.api.status import Status
from controller.api.times import as_datetime
from controller.kube.objects import Key
from controller.ports import Window
from controller.stats.thresholds import Thresholds


async def stables_past(questions: Sequence[Question], status: Status, until: float) -> dict[str, tuple[int, int]]:
    """Units of stable, slower and all, at each threshold, before the canary had any. Raises MetricTroubleError."""
    always = [question for question in questions if question.always]
    window = Window(as_datetime(until - HISTORY_S), as_datetime(until))
    rows = await ask(always, window, stable=status.stable, canary=status.canary)
    return {name: (counts.stable_bad, counts.stable_total) for name, counts in rows.items()}


async def baseline_counts(
    sources: Sources, key: Key, metrics: tuple[Metric, ...], status: Status, *, seconds: float
) -> tuple[dict[str, tuple[int, int]], dict[str, Thresholds]]:
    """Bad and all units of the versions that serve, by metric or threshold, in the last `seconds`, and the thresholds
    that would be chosen from them. Raises MetricTroubleError.
    """
    canary = status.canary or status.stable
    questions = await sources.questions(key, metrics, stable=status.stable, canary=canary)
    until = time.time()
    window = Window(as_datetime(until - seconds), as_datetime(until))
    rows = await ask(list(questions), window, stable=status.stable, canary=canary)
    alone = status.stable == canary  # then both sides of a row are the same counts
    found = {
        name: (counts.stable_bad, counts.stable_total)
        if alone
        else (counts.canary_bad + counts.stable_bad, counts.units)
        for name, counts in rows.items()
    }
    return found, chosen(questions, found)
