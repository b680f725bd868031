"""Grafana's answer to a query, as records: a column is a field or a label, a record is a row.

Data sources disagree about where a column goes. What a Flux query groups by is a label of each field, in InfluxQL's
tables it is a field, and a wide time series has one field for each set of labels. All of these make the same records.

An answer can be wrong in more ways than a database's own, and each is a type: the data source behind Grafana may be
out, it may refuse the query, a part of the rows may be missing, and the frames may not be frames.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

from controller.ports import BrokenMetricError, SourceOutageError
from controller.providers._rows import MAX_ROWS

REF_ID = "A"
_TIME = "time"
_NOT_FINITE = {"NaN": math.nan, "Inf": math.inf, "NegInf": -math.inf}
"""JSON has no such numbers: a frame has null there, and says which one was meant."""
_WARNING = frozenset(("warning", "error"))
TimeSeries = tuple[Mapping[str, str], tuple[tuple[int, float], ...]]
"""Labels, and samples: milliseconds since the epoch and a value."""
_OF_THE_QUERY = frozenset((400, 413, 422))
_OUTAGE = (
    "connection refused",
    "connection reset",
    "no such host",
    "timeout",
    "timed out",
    "deadline exceeded",
    "context canceled",
    "unauthorized",
    "authorization failed",
    "forbidden",
    "too many requests",
    "service unavailable",
    "bad gateway",
    "interrupted",
    "max-concurrent",
    "engine is closed",
    "unexpected eof",
    ": eof",
)
"""What data sources say that do not answer. Most say nothing else: Grafana passes their words on, with status 500."""


class DataSourceOutError(SourceOutageError):
    """Grafana answered, and its data source did not."""


class FrameShapeError(SourceOutageError):
    """What came is not what Grafana's API answers, so something else is at this address."""


class QueryRefusedError(BrokenMetricError):
    """The data source says what is wrong with the query."""


class PartialFramesError(BrokenMetricError):
    """Rows are missing, and counts of some of them are no counts."""


def records(body: bytes) -> list[Mapping[str, object]]:
    """At most one more than MAX_ROWS. Raises the errors above, with a part of a sentence."""
    with _well_formed():
        (frames,) = _results(body, (REF_ID,))
        return list(islice((record for frame in frames for record in _records(frame)), MAX_ROWS + 1))


def time_series(body: bytes, refs: Sequence[str]) -> list[list[TimeSeries]]:
    """Of each query: a frame of a time and a number is one series, as Prometheus's data source makes them.

    Raises the errors above.
    """
    with _well_formed():
        return [[one for frame in frames for one in _time_series(frame)] for frames in _results(body, refs)]


@contextmanager
def _well_formed() -> Iterator[None]:
    """Raises FrameShapeError for what is none."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise FrameShapeError("answered with something that is not Grafana's data frames") from error


def _results(body: bytes, refs: Sequence[str]) -> list[list[Mapping[str, Any]]]:
    """The frames of each query."""
    results = json.loads(body)["results"]
    found = []
    for ref in refs:
        frames = results[ref].get("frames") or []
        error = results[ref].get("error")
        if error:
            raise _failed(str(error), results[ref].get("status"), has_rows=any(map(_length, frames)))
        warning = next(filter(None, map(_warning, frames)), None)
        if warning is not None:
            raise PartialFramesError(f"warned that rows may be missing: {warning}")
        found.append(frames)
    return found


def _failed(error: str, status: object, *, has_rows: bool) -> SourceOutageError | BrokenMetricError:
    """`status`: of the query, as HTTP has it; older versions of Grafana give none."""
    if any(word in error.lower() for word in _OUTAGE):
        return DataSourceOutError(f"cannot reach its data source: {error}")
    if has_rows:
        return PartialFramesError(f"sent a part of the rows only: {error}")
    if status in _OF_THE_QUERY:
        return QueryRefusedError(f"cannot answer the query: {error}")
    if isinstance(status, int) and status in (401, 403, 404, 429, 502, 503, 504):
        return DataSourceOutError(f"cannot reach its data source ({status}): {error}")
    return QueryRefusedError(f"could not finish the query: {error}")


def _warning(frame: Mapping[str, Any]) -> str | None:
    notices = (frame["schema"].get("meta") or {}).get("notices") or []
    return next((str(notice["text"]) for notice in notices if notice.get("severity") in _WARNING), None)


def _length(frame: Mapping[str, Any]) -> int:
    """Rows. A frame without columns has none, and stands for an empty answer."""
    lengths = {len(column) for column in frame["data"]["values"]}
    if len(lengths) > 1:
        raise ValueError("columns of different lengths")
    return lengths.pop() if lengths else 0


def _records(frame: Mapping[str, Any]) -> Iterator[Mapping[str, object]]:
    fields, columns = frame["schema"].get("fields") or [], frame["data"]["values"]
    entities = frame["data"].get("entities") or [None] * len(columns)
    whole = [
        (field, _whole(column, of_column))
        for field, column, of_column in zip(fields, columns, entities, strict=True)
        if field["type"] != _TIME
    ]
    series = _series([(field["name"], field.get("labels") or {}, column) for field, column in whole])
    for row in range(_length(frame)):
        for labels, of_series in series:
            yield {**labels, **{name: column[row] for name, column in of_series.items()}}


def _time_series(frame: Mapping[str, Any]) -> Iterator[TimeSeries]:
    """A frame without rows has no field, or a field without values."""
    if not _length(frame):
        return
    fields, columns = frame["schema"]["fields"], frame["data"]["values"]
    entities = frame["data"].get("entities") or [None] * len(columns)
    (times,) = [column for field, column in zip(fields, columns, strict=True) if field["type"] == _TIME]
    for field, column, of_column in zip(fields, columns, entities, strict=True):
        if field["type"] == _TIME:
            continue
        labels = {str(name): str(value) for name, value in (field.get("labels") or {}).items()}
        samples = zip(times, _whole(column, of_column), strict=True)
        yield labels, tuple((round(moment), float(value)) for moment, value in samples)


def _whole(column: Sequence[Any], entities: Mapping[str, Sequence[int]] | None) -> Sequence[Any]:
    if not isinstance(column, list):
        raise TypeError("a column that is no list")
    if not entities:
        return column
    filled = list(column)
    for name, rows in entities.items():
        for row in rows:
            filled[row] = _NOT_FINITE[name]
    return filled


_Columns = dict[str, Sequence[Any]]


def _series(fields: Sequence[tuple[str, Mapping[str, str], Sequence[Any]]]) -> list[tuple[Mapping[str, str], _Columns]]:
    """The fields of one set of labels, with those that have none beside each of them."""
    shared: _Columns = {}
    found: dict[tuple[tuple[str, str], ...], tuple[Mapping[str, str], _Columns]] = {}
    for name, labels, column in fields:
        of_series = found.setdefault(tuple(sorted(labels.items())), (labels, {}))[1] if labels else shared
        if name in of_series:
            raise ValueError("two columns of one name")
        of_series[name] = column
    if not found:
        return [({}, shared)] if shared else []
    return [(labels, {**shared, **columns}) for labels, columns in found.values()]
