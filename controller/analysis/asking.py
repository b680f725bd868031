"""Asks the sources for one window, and puts the answers of both revisions side by side.

No look waits long for a metric that only advises: without an answer in time it has no row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from controller.analysis.large_looks import LARGE_UNITS
from controller.analysis.sources import MetricTroubleError, Question
from controller.analysis.thresholds import label
from controller.api.reasons import Reason
from controller.ports import BrokenMetricError, NoData, Row, Samples, SourceOutageError, Window
from controller.stats.counts import MOST_UNITS, NOTHING, Counts

ADVICE_S = 2.0
"""So long a look waits for a metric that only advises."""


@dataclass(frozen=True)
class Answers:
    """By `metric` or `metric/threshold`."""

    rows: dict[str, Counts] = field(default_factory=dict)
    halves: dict[str, Counts] = field(default_factory=dict)
    """Of stable's pods, where they are told apart."""
    failed: dict[str, str] = field(default_factory=dict)
    """Why there is no answer, by the names of metrics that only advise."""


async def ask(questions: Sequence[Question], window: Window, *, stable: str, canary: str) -> dict[str, Counts]:
    """Raises MetricTroubleError."""
    return (await ask_in_halves(questions, window, stable=stable, canary=canary)).rows


async def ask_in_halves(questions: Sequence[Question], window: Window, *, stable: str, canary: str) -> Answers:
    """Raises MetricTroubleError when any of them cannot be answered: a look is whole or it is not made.

    What ripens is asked for in a window that is so much older.
    """
    answers = await asyncio.gather(
        *(_answer(question, _ripe(window, question.maturity)) for question in questions), return_exceptions=True
    )
    found = Answers()
    for question, answer in zip(questions, answers, strict=True):
        if question.advises:
            _take_advice(found, question, answer, stable=stable, canary=canary)
            continue
        match answer:
            case Samples():
                _take(found, question, answer.rows, stable=stable, canary=canary)
            case NoData():
                found.rows[question.name] = NOTHING  # asked, and had nothing: a metric that was not asked has no row
            case SourceOutageError():
                raise MetricTroubleError(Reason.SOURCE_OUTAGE, f"metric {question.name}: {answer}")
            case BrokenMetricError():
                raise MetricTroubleError(Reason.METRIC_BROKEN, f"metric {question.name}: {answer}")
            case BaseException():
                raise answer
    return found


async def _answer(question: Question, window: Window) -> Samples | NoData:
    if not question.advises:
        return await question.provider.query(question.query, window)
    try:
        async with asyncio.timeout(ADVICE_S):
            return await question.provider.query(question.query, window)
    except TimeoutError as error:
        raise SourceOutageError(f"no answer within {ADVICE_S:g} s") from error


def _take_advice(
    found: Answers, question: Question, answer: Samples | NoData | BaseException, *, stable: str, canary: str
) -> None:
    own = Answers()
    match answer:
        case Samples():
            try:
                _take(own, question, answer.rows, stable=stable, canary=canary)
            except MetricTroubleError as error:
                found.failed[question.name] = str(error)
                return
        case NoData():
            own.rows[question.name] = NOTHING
        case Exception():
            found.failed[question.name] = f"{answer}" or type(answer).__name__
        case BaseException():
            raise answer
    found.rows.update(own.rows)
    found.halves.update(own.halves)


def _ripe(window: Window, maturity: float) -> Window:
    older = timedelta(seconds=maturity)
    return Window(window.start - older, window.end - older) if maturity else window


_NONE = (0, 0)


def _take(found: Answers, question: Question, rows: tuple[Row, ...], *, stable: str, canary: str) -> None:
    """Both revisions, side by side. One that is not there did nothing in this window."""
    sums: dict[str, dict[tuple[str, str], tuple[int, int]]] = {}
    most, written = (LARGE_UNITS, "10^7 where a metric advises") if question.advises else (MOST_UNITS, "10^9")
    for row in rows:
        problem = _problem(question, row, stable, canary)
        if problem:
            raise MetricTroubleError(Reason.METRIC_BROKEN, f"metric {question.name}: {problem}")
        sums.setdefault(label(question.name, row.threshold), {})[row.revision, row.half] = row.bad, row.total
    for name, parts in sums.items():
        for revision in (stable, canary):
            _, total = _sum(parts, revision)
            if total > most:
                problem = f"revision {revision} has {total} units in one window, maximum is {written}"
                raise MetricTroubleError(Reason.METRIC_BROKEN, f"metric {question.name}: {problem}")
        found.rows[name] = Counts(*_sum(parts, canary), *_sum(parts, stable))
        if question.halves:
            found.halves[name] = Counts(*parts.get((stable, "a"), _NONE), *parts.get((stable, "b"), _NONE))


def _sum(parts: Mapping[tuple[str, str], tuple[int, int]], revision: str) -> tuple[int, int]:
    own = [counts for (whose, _), counts in parts.items() if whose == revision]
    return sum(bad for bad, _ in own), sum(total for _, total in own)


def _problem(question: Question, row: Row, stable: str, canary: str) -> str:
    """Rows say no more and no less than their template does."""
    if row.revision not in (stable, canary):
        return f"revision {row.revision!r} is neither stable {stable} nor {canary}"
    facts = (
        ("threshold", "thresholds", row.threshold, bool(question.always)),
        ("half", "halves", row.half, question.halves),
    )
    for column, field_name, value, expected in facts:
        if bool(value) != expected:
            wrong = f"a row has no {column}" if expected else f"a row has the {column} {value}"
            return f"{wrong}, and its template {'says' if expected else 'does not say'} `{field_name}`"
    return ""
