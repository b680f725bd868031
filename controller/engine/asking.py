"""Asks the sources for one window, and puts the answers of both revisions side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from controller.core.looks import NOTHING, Counts
from controller.engine.sources import MetricTroubleError, Question
from controller.engine.thresholds import label
from controller.ports import BrokenMetricError, NoData, Row, Samples, SourceOutageError, Window


async def ask(questions: Sequence[Question], window: Window, *, stable: str, canary: str) -> dict[str, Counts]:
    """Raises MetricTroubleError when any of them cannot be answered: a look is whole or it is not made.

    What ripens is asked for in a window that is so much older.
    """
    answers = await asyncio.gather(
        *(question.provider.query(question.query, _ripe(window, question.maturity)) for question in questions),
        return_exceptions=True,
    )
    rows: dict[str, Counts] = {}
    for question, answer in zip(questions, answers, strict=True):
        match answer:
            case Samples():
                rows |= _counts(question, answer.rows, stable=stable, canary=canary)
            case NoData():
                rows[question.name] = NOTHING  # asked, and had nothing: a metric that was not asked has no row
            case SourceOutageError():
                raise MetricTroubleError("SourceOutage", f"metric {question.name}: {answer}")
            case BrokenMetricError():
                raise MetricTroubleError("MetricBroken", f"metric {question.name}: {answer}")
            case BaseException():
                raise answer
    return rows


def _ripe(window: Window, maturity: float) -> Window:
    older = timedelta(seconds=maturity)
    return Window(window.start - older, window.end - older) if maturity else window


def _counts(question: Question, rows: tuple[Row, ...], *, stable: str, canary: str) -> dict[str, Counts]:
    """Rows of both revisions, side by side. A revision that is not there did nothing in this window."""
    name = question.name
    sides: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row.revision not in (stable, canary):
            raise MetricTroubleError(
                "MetricBroken", f"metric {name}: revision {row.revision!r} is neither stable {stable} nor {canary}"
            )
        if bool(row.threshold) != bool(question.always):
            wrong = "a row has no threshold" if question.always else f"a row has the threshold {row.threshold}"
            said = "says" if question.always else "does not say"
            raise MetricTroubleError("MetricBroken", f"metric {name}: {wrong}, and its template {said} `thresholds`")
        sides.setdefault(label(name, row.threshold), {})[row.revision] = row
    nothing = Row("", 0, 0)
    return {
        label: Counts(
            side.get(canary, nothing).bad,
            side.get(canary, nothing).total,
            side.get(stable, nothing).bad,
            side.get(stable, nothing).total,
        )
        for label, side in sides.items()
    }
