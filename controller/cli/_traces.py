"""Reads recorded looks: CSV files, and AnalysisRuns as YAML or JSON. Errors name file, line and field."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.cli._documents import documents
from controller.cli._files import MOST_BYTES, UnreadableError, read_text
from controller.stats.counts import MOST_UNITS, Counts, Look
from controller.stats.method import AnalysisPlan, plan_from_raw

_COUNTS = ("canary_bad", "canary_total", "stable_bad", "stable_total")
_REQUIRED = ("look", "metric", *_COUNTS)
_WHOLE = re.compile(r"[0-9]{1,10}")
_MOST_ROWS = 500
"""Metrics and thresholds of one file."""
MOST_LOOKS = 1_000_000
_MOST_RECORDED = 8 * 2**20
"""Bytes of looks as CSV or JSON."""
_MOST_RATIO = 100
_MOST_ALPHA = 0.5
_WHOLE_PERCENT = 100
_SHOWN = 100


class TraceError(Exception):
    """A recorded look that cannot be meant: file, line and field, and what is wrong."""

    def __init__(self, file: str, line: int, field: str, problem: str) -> None:
        where = f"{file}:{line}"
        super().__init__(f"{where}: {field}: {problem}" if field else f"{where}: {problem}")


@dataclass(frozen=True)
class Trace:
    """The looks of one release, in order; rows are named `metric` or `metric/threshold`."""

    file: str
    looks: tuple[Look, ...]
    labels: tuple[str, ...]
    """Names of the rows, in the order in which they first come."""
    plan: AnalysisPlan | None = None
    """The method that an AnalysisRun recorded."""


def read_trace(file: str) -> Trace:
    """Raises TraceError."""
    try:
        text = read_text(file, most=_MOST_RECORDED)
    except UnreadableError as error:
        raise TraceError(file, error.line, "", error.problem) from error
    if not text.strip():
        raise TraceError(file, 1, "", "is empty: there are no looks in it")
    if Path(file).suffix in (".yaml", ".yml", ".json") or text.lstrip().startswith(("{", "apiVersion")):
        return _read_run(file, text)
    return _read_csv(file, text)


# -- CSV -----------------------------------------------------------------------------------------------------------


def _read_csv(file: str, text: str) -> Trace:
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    try:
        header = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = header
        return _trace(file, list(_looks_of(file, reader, header)))
    except csv.Error as error:
        raise TraceError(file, max(1, reader.line_num), "", f"is not valid CSV: {error}") from error


def _looks_of(file: str, reader: csv.DictReader[str], header: Sequence[str]) -> Iterator[Look]:
    for column in _REQUIRED:
        if column not in header:
            found = ", ".join(header)
            raise TraceError(file, 1, column, f"this column is missing (found: {found[:_SHOWN]})")
    looks: dict[int, dict[str, Counts]] = {}
    weights: dict[int, float] = {}
    last = 0
    for row in reader:
        line = reader.line_num
        if None in row or None in row.values():
            raise TraceError(file, line, "", f"has not the {len(header)} values that the first line names")
        look = _whole(file, line, row, "look")
        if not max(1, last) <= look <= MOST_LOOKS:
            behind = f"{look} comes after {last}" if last else f"{look} is not between 1 and {MOST_LOOKS}"
            raise TraceError(file, line, "look", behind)
        last = look
        label = _label(file, line, row)
        rows = looks.setdefault(look, {})
        if label in rows:
            raise TraceError(file, line, "metric", f"{label!r} is given twice in look {look}")
        rows[label] = _counts(file, line, row)
        weight = row.get("weight", "").strip()
        if weight:
            weights[look] = _weight(file, line, weight)
    if not looks:
        raise TraceError(file, 1, "", "is empty: there are no looks in it")
    for number, rows in looks.items():
        yield Look(number, number, number + 1, weights.get(number, 0.0), rows)


def _label(file: str, line: int, row: Mapping[str, str]) -> str:
    metric, threshold = row["metric"].strip(), row.get("threshold", "").strip()
    if not metric or "/" in metric:
        raise TraceError(file, line, "metric", f"{metric!r} is not the name of a metric")
    return f"{metric}/{threshold}" if threshold else metric


def _counts(file: str, line: int, row: Mapping[str, str]) -> Counts:
    canary_bad, canary_total, stable_bad, stable_total = (_whole(file, line, row, field) for field in _COUNTS)
    for field, bad, total in (("canary_bad", canary_bad, canary_total), ("stable_bad", stable_bad, stable_total)):
        if bad > total:
            raise TraceError(file, line, field, f"{bad} bad of {total} units is impossible")
    return Counts(canary_bad, canary_total, stable_bad, stable_total)


def _whole(file: str, line: int, row: Mapping[str, str], field: str) -> int:
    text = row[field].strip()
    if not _WHOLE.fullmatch(text) or int(text) > MOST_UNITS:
        raise TraceError(file, line, field, f"{text[:_SHOWN]!r} is not a whole number between 0 and 10^9")
    return int(text)


def _weight(file: str, line: int, text: str) -> float:
    try:
        weight = float(text.removesuffix("%"))
    except ValueError:
        weight = -1.0
    if not 0 <= weight <= _WHOLE_PERCENT:
        raise TraceError(file, line, "weight", f"{text!r} is not a percentage between 0 and 100")
    return weight


# -- AnalysisRun ---------------------------------------------------------------------------------------------------


def _read_run(file: str, text: str) -> Trace:
    """The pages of one AnalysisRun, one document each or all in a List."""
    pages = [(index, raw) for index, raw in enumerate(_objects(file, text)) if raw.get("kind") == "AnalysisRun"]
    if not pages:
        raise TraceError(file, 1, "kind", "there is no AnalysisRun in it")
    pages.sort(key=lambda page: _page_number(page[1]))
    plan = _method(file, text, pages[0])
    looks: list[Look] = []
    for index, page in pages:
        recorded = _at(page, "status", "looks") or []
        if not isinstance(recorded, list):
            raise _run_error(file, text, index, "status.looks", "must be a list")
        for position, raw in enumerate(recorded):
            path = f"status.looks[{position}]"
            try:
                look = _look(raw)
            except (ValueError, TypeError) as error:
                raise _run_error(file, text, index, path, f"is not a look: {error}") from error
            if look.number < 1 or (looks and look.number <= looks[-1].number):
                problem = f"{look.number} comes after {looks[-1].number if looks else 0}"
                raise _run_error(file, text, index, f"{path}.n", problem)
            looks.append(look)
    if not looks:
        raise _run_error(file, text, pages[0][0], "status.looks", "there are no looks in it")
    return _trace(file, looks, plan)


def _page_number(page: Mapping[str, Any]) -> int:
    number = _at(page, "spec", "page")
    return number if isinstance(number, int) else 0


def _method(file: str, text: str, first: tuple[int, Mapping[str, Any]]) -> AnalysisPlan:
    """Within the bounds that a Release has, so that judging ends."""
    index, page = first
    try:
        plan = plan_from_raw(_at(page, "spec", "method") or {})
    except (TypeError, AttributeError, OverflowError) as error:
        raise _run_error(file, text, index, "spec.method", str(error)[:_SHOWN]) from error
    if not 0 < plan.alpha <= _MOST_ALPHA:
        raise _run_error(file, text, index, "spec.method.alpha", f"{plan.alpha:g} is not above 0 and at most 0.5")
    if plan.horizon is not None and not 1 <= plan.horizon <= MOST_LOOKS:
        raise _run_error(file, text, index, "spec.method.looks", f"is not between 1 and {MOST_LOOKS}")
    if not 0 < plan.max_false_promotion <= _MOST_ALPHA:
        raise _run_error(file, text, index, "spec.method.maxFalsePromotion", "is not above 0 and at most 0.5")
    for position, metric in enumerate(plan.metrics):
        ratios = [one for one in (metric.odds, metric.promote) if one is not None]
        rates = [one for one in (metric.limit, metric.slack) if one is not None]
        if not (all(0 < one <= _MOST_RATIO for one in ratios) and all(0 <= one <= 1 for one in rates)):
            path = f"spec.method.metrics[{position}]"
            raise _run_error(file, text, index, path, f"ratios are at most {_MOST_RATIO}, rates between 0 and 1")
    return plan


def _objects(file: str, text: str) -> Iterator[dict[str, Any]]:
    whole = [_json(file, text)] if text.lstrip().startswith("{") else list(_yaml(file, text))
    for raw in whole:
        inner = raw.get("items") if isinstance(raw, dict) and raw.get("kind") == "List" else [raw]
        yield from (one for one in inner or () if isinstance(one, dict)) if isinstance(inner, list) else ()


def _json(file: str, text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_number, parse_int=_integer)
    except RecursionError:
        raise TraceError(file, 1, "", "is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise TraceError(file, error.lineno, "", f"is not valid JSON: {error.msg}") from error
    except ValueError as error:
        raise TraceError(file, 1, "", f"is not valid JSON: {error}") from error


def _integer(digits: str) -> int:
    if len(digits) > _SHOWN:
        raise ValueError(f"{digits[:_SHOWN]}… is not a number that the API server can hold")
    return int(digits)


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is not a number")


def _yaml(file: str, text: str) -> Iterator[dict[str, Any]]:
    if len(text) > MOST_BYTES:
        size = f"{len(text) / 2**20:.1f} MiB of YAML, maximum is {MOST_BYTES // 2**20} MiB"
        raise TraceError(file, 1, "", f"is {size}: take it as JSON, with kubectl's -o json")
    try:
        for document in documents(file, text):
            yield document.raw
    except UnreadableError as error:
        raise TraceError(file, error.line, error.path, error.problem) from error


def _look(raw: Mapping[str, Any]) -> Look:
    if not isinstance(raw, Mapping):
        raise TypeError(f"must be an object, not {raw!r:.{_SHOWN}}")
    number, weight, counted = raw.get("n"), raw.get("weight", 0), raw.get("rows") or {}
    if not isinstance(counted, Mapping):
        raise TypeError(f"rows: must be an object, not {counted!r:.{_SHOWN}}")
    if not isinstance(number, int) or isinstance(number, bool):
        raise TypeError(f"n: {number!r} is not a whole number")
    if number > MOST_LOOKS:
        raise ValueError(f"n: is more than {MOST_LOOKS}")
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= _WHOLE_PERCENT:
        raise ValueError(f"weight: {weight!r} is not between 0 and 100")
    rows = {str(name): _row(str(name), counts) for name, counts in counted.items()}
    return Look(number, number, number + 1, float(weight), rows)


def _row(name: str, counts: object) -> Counts:
    given = counts if isinstance(counts, list) else []
    whole = [one for one in given if isinstance(one, int) and not isinstance(one, bool)]
    if len(whole) != len(_COUNTS) or len(given) != len(_COUNTS):
        raise ValueError(f"rows.{name}: {counts!r:.{_SHOWN}} are not four whole numbers")
    if not all(0 <= one <= MOST_UNITS for one in whole):
        raise ValueError(f"rows.{name}: not all are between 0 and 10^9")
    return Counts(*whole)


def _at(raw: Any, *path: str) -> Any:
    for key in path:
        if not isinstance(raw, Mapping):
            return None
        raw = raw.get(key) or {}
    return raw


def _run_error(file: str, text: str, index: int, path: str, problem: str) -> TraceError:
    """Reads the file again, slowly, to find the line."""
    try:
        line = list(documents(file, text))[index].line(path)
    except (UnreadableError, IndexError):
        line = 1
    return TraceError(file, line, path, problem)


def _trace(file: str, looks: Sequence[Look], plan: AnalysisPlan | None = None) -> Trace:
    labels = dict.fromkeys(label for look in looks for label in look.rows)
    if len(labels) > _MOST_ROWS:
        raise TraceError(file, 1, "metric", f"{len(labels)} metrics and thresholds, maximum is {_MOST_ROWS}")
    return Trace(file, tuple(looks), tuple(labels), plan)
