"""Exact counts out of Prometheus's counters, from the samples that it has scraped.

PromQL has no such thing: `increase()` extrapolates to the window's edges, leaves out what a series had at its first
sample, and a subtraction of sums hides resets and pods that are gone. So a query here says only which series to read, a
line for each column, and the differences are taken here, series by series:

    total: requests_total{service={{ service }}, revision=~"{{ stable | regex }}|{{ canary | regex }}"}
    bad: requests_total{service={{ service }}, revision=~"{{ stable | regex }}|{{ canary | regex }}", code=~"5.."}

What stands before the colon is the column, and if need be ` of REVISION` (whose all of them are), ` by LABEL` (which
names the revision; `revision` otherwise), ` per LABEL` (which names a threshold, as `le`), ` every NUMBER` (so much of
the counter is one unit, as of CPU seconds).

A series counts in a window `[start, end)` what its samples there have more than the one before them. Windows that touch
therefore count each increment once: in the window of the scrape that saw it first. A counter that falls was reset and
counts from zero. One without a sample in the hour before counts from zero too, as a pod or a status code that is new,
unless no series of the query had any: then Prometheus itself was away, and what came before cannot be told.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from controller.ports import BrokenMetricError, SourceOutageError, Window, threshold_text
from controller.providers._languages import Dialect, Moment

PROMQL = Dialect("promql", quote='"', regex_in_text=True, moment=Moment.SECONDS, tokens=(), window_required=False)
"""Without the window: it is the request's."""
COLUMNS = ("total", "bad", "good")
MOST_LINES = 8
LOOKBACK = "1h"
_EXACT = 2**53
"""Beyond it a float no longer tells two counts apart."""
_ROUNDING = 1e-9
"""Of 0.3 / 0.1, which is no 3."""
_HEAD = re.compile(
    r"(?P<column>total|bad|good)(?: of (?P<revision>\"?[a-z2-7]{10}\"?))?"
    r"(?: by (?P<by>[A-Za-z_][A-Za-z0-9_]*))?(?: per (?P<per>[A-Za-z_][A-Za-z0-9_]*))?"
    r"(?: every (?P<every>[0-9]{1,12}(?:\.[0-9]{1,12})?))? ?:"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Line:
    """One selector, and where its counts go."""

    number: int
    column: str
    """Empty where the line has none: as a heartbeat it can be asked all the same."""
    selector: str
    revision: str = ""
    """Whose it is; empty where the series say so themselves."""
    by: str = "revision"
    """The label that names the revision."""
    per: str = ""
    """The label that names a threshold; empty where there are none."""
    every: float = 1.0
    """So much of the counter is one unit."""

    def of_window(self, window: Window) -> tuple[str, float]:
        """An expression and the moment to evaluate it at: all samples in the window."""
        start, end = edges(window)
        return f"{self.selector}[{end - start}ms]", (end - 1) / 1000

    def of_window_at(self, window: Window) -> str:
        """The same as an expression that says its moment itself, for those who cannot choose it to the millisecond."""
        start, end = edges(window)
        return f"{self.selector}[{end - start}ms] @ {(end - 1) / 1000:.3f}"

    def before_at(self, window: Window) -> str:
        start, _ = edges(window)
        return f"last_over_time({self.selector}[{LOOKBACK}] @ {(start - 1) / 1000:.3f})"

    def before(self, window: Window) -> tuple[str, float]:
        """Each series' last sample before the window, also of those that are gone."""
        start, _ = edges(window)
        return f"last_over_time({self.selector}[{LOOKBACK}])", (start - 1) / 1000


def edges(window: Window) -> tuple[int, int]:
    """In milliseconds, as samples have them: the first that is in the window, and the first after it."""
    start, end = (-(-(moment - _EPOCH) // _MILLISECOND) for moment in (window.start, window.end))
    return start, max(end, start + 1)


def lines_of(text: str) -> tuple[Line, ...]:
    """Raises BrokenMetricError. A selector may go on over several lines, and `#` begins a comment line."""
    found: list[Line] = []
    # not splitlines(), which ends one at a U+2028 of a value, too: what follows would be a comment or a line of its own
    for number, written in enumerate(text.split("\n"), start=1):
        text_of_line = written.strip()
        if not text_of_line or text_of_line.startswith("#"):
            continue
        head = _HEAD.match(text_of_line)
        if head is None and found:
            found[-1] = replace(found[-1], selector=f"{found[-1].selector} {text_of_line}".strip())
        elif head is None:
            found.append(Line(number, "", text_of_line))
        else:
            selector = text_of_line[head.end() :].strip()
            revision = (head["revision"] or "").strip('"')
            by, per, every = head["by"] or "revision", head["per"] or "", float(head["every"] or 1)
            if not every:
                raise BrokenMetricError(f"line {number} of the query: a unit every 0 is none")
            found.append(Line(number, head["column"], selector, revision, by, per, every))
    if not 0 < len(found) <= MOST_LINES:
        raise BrokenMetricError(f"the query has {len(found)} selectors; it must have 1 to {MOST_LINES}")
    # where the first version is compared with itself, both sides are the same lines
    return tuple({replace(line, number=0): line for line in found}.values())


@dataclass(frozen=True)
class Series:
    labels: Mapping[str, str]
    samples: tuple[tuple[int, float], ...]
    """Milliseconds since the epoch and the value, in the order of time."""

    @property
    def identity(self) -> frozenset[tuple[str, str]]:
        """Functions drop the name, and selectors do not."""
        return frozenset((name, value) for name, value in self.labels.items() if name != "__name__")


def series_of(body: bytes) -> list[Series]:
    """Of an answer of `/api/v1/query`. Raises SourceOutageError, BrokenMetricError; and ValueError, LookupError,
    TypeError, AttributeError or RecursionError for what is none.
    """
    answer = json.loads(body)
    if answer["status"] != "success":
        raise ValueError(answer["status"])
    for warning in answer.get("warnings") or ():
        said = " ".join(str(warning).split())[:200]
        if said.startswith("PromQL warning"):
            raise BrokenMetricError(f"Prometheus warns of the query: {said}")
        raise SourceOutageError(f"the answer has a part of the series only: {said}")
    kind, result = answer["data"]["resultType"], answer["data"]["result"]
    if kind not in ("matrix", "vector"):
        raise BrokenMetricError(f"a line of the query is a {kind}, and must be a selector of series")
    return [_series(one) for one in result]


def _series(raw: Mapping[str, Any]) -> Series:
    labels = {str(name): str(value) for name, value in raw["metric"].items()}
    if "histogram" in raw or "histograms" in raw:
        raise BrokenMetricError(f"{_named(labels)} is a native histogram, which has no buckets to count")
    samples = raw["values"] if "values" in raw else [raw["value"]]
    try:
        return Series(labels, tuple((round(float(moment) * 1000), float(value)) for moment, value in samples))
    except OverflowError as error:
        raise ValueError("a moment or a value that is no number") from error


@dataclass(frozen=True)
class Answer:
    """What one line found."""

    line: Line
    before: Sequence[Series]
    within: Sequence[Series]

    def has_samples(self, window: Window) -> bool:
        start, end = edges(window)
        return any(start <= moment < end for one in self.within for moment, _ in one.samples)


def counted(answers: Sequence[Answer], window: Window) -> list[Mapping[str, object]]:
    """Records with the columns revision, bad, total and, where a line has `per`, threshold.

    Raises BrokenMetricError.
    """
    check_columns([answer.line for answer in answers])
    scraped = any(answer.before for answer in answers)
    sums: dict[str, dict[tuple[str, str], float]] = {column: {} for column in COLUMNS}
    for answer in answers:
        counts = sums[answer.line.column]
        last = {one.identity: one.samples[-1][1] for one in answer.before if one.samples}
        for one in answer.within:
            row = _row_of(answer.line, one.labels)
            if row is not None:
                counts[row] = counts.get(row, 0.0) + _grown(
                    one, last.get(one.identity), window, answer.line.every, from_zero=scraped
                )
        for one in answer.before:  # scraped before, and not within: nothing came
            row = _row_of(answer.line, one.labels)
            if row is not None:
                counts.setdefault(row, 0.0)
    lines = [answer.line for answer in answers]
    return list(
        records_of(sums, by_good=any(line.column == "good" for line in lines), per=any(line.per for line in lines))
    )


def check_columns(lines: Sequence[Line]) -> None:
    for line in lines:
        if not line.column:
            raise BrokenMetricError(
                f"line {line.number} of the query names no column: write `total: {line.selector[:40]}`"
            )
    columns = {line.column for line in lines}
    if "total" not in columns or len(columns) != 2:  # noqa: PLR2004 - total and one more
        raise BrokenMetricError(
            f"the query has the columns {', '.join(sorted(columns))}; it needs total, and bad or good"
        )


def _row_of(line: Line, labels: Mapping[str, str]) -> tuple[str, str] | None:
    """Revision and threshold; None: all units are below it."""
    revision = line.revision or labels.get(line.by, "")
    if not revision:
        raise BrokenMetricError(
            f"line {line.number}: {_named(labels)} has no label {line.by}, which names the revision"
        )
    if not line.per:
        return revision, ""
    threshold = labels.get(line.per, "")
    if not threshold:
        raise BrokenMetricError(
            f"line {line.number}: {_named(labels)} has no label {line.per}, which names a threshold"
        )
    if threshold == "+Inf":
        return None
    try:
        return revision, threshold_text(float(threshold))
    except ValueError:
        problem = f"line {line.number}: {_named(labels)} has {line.per} {threshold[:40]!r}, which is no number"
        raise BrokenMetricError(problem) from None


def _grown(series: Series, last: float | None, window: Window, every: float, *, from_zero: bool) -> float:
    start, end = edges(window)
    grown = 0.0
    last = None if last is None else _units(series, last, every)
    for moment, value in series.samples:
        if not start <= moment < end:
            continue
        units = _units(series, value, every)
        if last is None:
            grown += units if from_zero else 0.0
        else:
            grown += units if units < last else units - last
        last = units
    return grown


def _units(series: Series, value: float, every: float) -> float:
    """Whole ones, so that windows that touch add up to the whole."""
    if not (math.isfinite(value) and 0 <= value <= _EXACT):
        raise BrokenMetricError(f"{_named(series.labels)} has the value {value}, which is no count")
    return value if every == 1.0 else float(math.floor(value / every + _ROUNDING))


def records_of(
    sums: Mapping[str, Mapping[tuple[str, str], float]], *, by_good: bool, per: bool
) -> Iterable[Mapping[str, object]]:
    """`by_good`: a line says which units are good; `per`: a line has thresholds. Without a series of its own a revision
    has no bad unit, for counters begin with the first one; but good ones it would have, so there the query is wrong.
    """
    total, bad, good = (sums[column] for column in COLUMNS)
    edges_of: dict[str, list[str]] = {}
    for revision, threshold in {**total, **bad, **good}:
        known = edges_of.setdefault(revision, [])
        if threshold and threshold not in known:
            known.append(threshold)
    for revision, thresholds in edges_of.items():
        for threshold in thresholds or [""]:
            row = revision, threshold
            units = total.get(row, total.get((revision, ""), 0.0))
            if by_good and row not in good and units:
                at = f" at {threshold}" if threshold else ""
                raise BrokenMetricError(
                    f"revision {revision} has {units:g} units, and no series in the column good{at}"
                )
            if per and not threshold:
                continue
            wrong = units - good.get(row, 0.0) if by_good else bad.get(row, 0.0)
            yield {
                "revision": revision,
                "bad": wrong,
                "total": units,
                **({"threshold": threshold} if threshold else {}),
            }


def _named(labels: Mapping[str, str]) -> str:
    inside = ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()) if name != "__name__")
    return f"{labels.get('__name__', '')}{{{inside}}}"[:200]
