"""Reads recorded looks: CSV files, and AnalysisRuns as YAML or JSON. Errors name file, line and field."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from controller.cli._documents import UnreadableError, documents
from controller.stats.counts import Counts, Look
from controller.stats.method import AnalysisPlan, plan_from_raw

_COUNTS = ("canary_bad", "canary_total", "stable_bad", "stable_total")
_REQUIRED = ("look", "metric", *_COUNTS)
_WHOLE = re.compile(r"\d{1,12}")
_MOST_UNITS = 10**12
_MOST_ALPHA = 0.5
_WHOLE_PERCENT = 100
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class TraceError(Exception):
    """A recorded look that cannot be meant: file, line and field, and what is wrong."""

    def __init__(self, file: str, line: int, field: str, problem: str) -> None:
        super().__init__(f"{file}:{line}: {field}: {problem}" if field else f"{file}:{line}: {problem}")


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
        text = Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TraceError(file, 1, "", f"cannot be read: {error}") from error
    if not text.strip():
        raise TraceError(file, 1, "", "is empty: there are no looks in it")
    if Path(file).suffix in (".yaml", ".yml", ".json") or text.lstrip().startswith(("{", "apiVersion")):
        return _read_run(file, text)
    return _read_csv(file, text)


# -- CSV -----------------------------------------------------------------------------------------------------------


def _read_csv(file: str, text: str) -> Trace:
    reader = csv.DictReader(text.splitlines(), skipinitialspace=True)
    header = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = header
    for column in _REQUIRED:
        if column not in header:
            raise TraceError(file, 1, column, f"this column is missing (found: {', '.join(header)})")
    looks: dict[int, dict[str, Counts]] = {}
    weights: dict[int, float] = {}
    last = 0
    for row in reader:
        line = reader.line_num
        if None in row or None in row.values():
            raise TraceError(file, line, "", f"has not the {len(header)} values that the first line names")
        look = _whole(file, line, row, "look")
        if look < max(1, last):
            behind = f"{look} comes after {last}" if last else "looks are counted from 1"
            raise TraceError(file, line, "look", behind)
        last = look
        label = _label(file, line, row)
        rows = looks.setdefault(look, {})
        if label in rows:
            raise TraceError(file, line, "metric", f"{label!r} is there twice in look {look}")
        rows[label] = _counts(file, line, row)
        weight = row.get("weight", "").strip()
        if weight:
            weights[look] = _weight(file, line, weight)
    if not looks:
        raise TraceError(file, 1, "", "is empty: there are no looks in it")
    made = [Look(number, number, number + 1, weights.get(number, 0.0), rows) for number, rows in looks.items()]
    return _trace(file, made)


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
    if not _WHOLE.fullmatch(text):
        raise TraceError(file, line, field, f"{text!r} is not a whole number between 0 and 10^12")
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
    pages.sort(key=lambda page: int(_at(page[1], "spec", "page") or 0))
    try:
        plan = plan_from_raw(_at(pages[0][1], "spec", "method") or {})
    except TypeError as error:
        raise _run_error(file, text, pages[0][0], "spec.method", str(error)) from error
    if not 0 < plan.alpha <= _MOST_ALPHA:
        problem = f"{plan.alpha:g} is not above 0 and at most 0.5"
        raise _run_error(file, text, pages[0][0], "spec.method.alpha", problem)
    looks: list[Look] = []
    for index, page in pages:
        for position, raw in enumerate(_at(page, "status", "looks") or ()):
            path = f"status.looks[{position}]"
            try:
                look = _look(raw)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise _run_error(file, text, index, path, f"is no look: {error}") from error
            if look.number < 1 or (looks and look.number <= looks[-1].number):
                problem = f"{look.number} comes after {looks[-1].number if looks else 0}"
                raise _run_error(file, text, index, f"{path}.n", problem)
            looks.append(look)
    if not looks:
        raise _run_error(file, text, pages[0][0], "status.looks", "there are no looks in it")
    return _trace(file, looks, plan)


def _objects(file: str, text: str) -> Iterator[dict[str, Any]]:
    try:
        whole = [json.loads(text)] if text.lstrip().startswith("{") else list(yaml.load_all(text, Loader=_LOADER))
    except ValueError as error:
        raise TraceError(file, getattr(error, "lineno", 1), "", f"is no JSON: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = str(getattr(error, "problem", error))
        raise TraceError(file, mark.line + 1 if mark else 1, "", f"is no YAML: {problem}") from error
    for raw in whole:
        inner = raw.get("items", [raw]) if isinstance(raw, dict) and raw.get("kind") == "List" else [raw]
        yield from (one for one in inner if isinstance(one, dict))


def _look(raw: Mapping[str, Any]) -> Look:
    number, weight = raw["n"], raw.get("weight", 0)
    if not isinstance(number, int):
        raise TypeError(f"n: {number!r} is not a whole number")
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= _WHOLE_PERCENT:
        raise ValueError(f"weight: {weight!r} is not between 0 and 100")
    rows = {str(name): _row(str(name), counts) for name, counts in (raw.get("rows") or {}).items()}
    return Look(number, number, number + 1, float(weight), rows)


def _row(name: str, counts: Sequence[object]) -> Counts:
    whole = [one for one in counts if isinstance(one, int) and not isinstance(one, bool) and one <= _MOST_UNITS]
    if len(whole) != len(_COUNTS) or len(counts) != len(_COUNTS):
        raise ValueError(f"rows.{name}: {counts!r} are not four whole numbers")
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
    return Trace(file, tuple(looks), tuple(labels), plan)
