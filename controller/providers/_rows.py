"""What a query answered, checked until it can be nothing but counts.

A look that is wrong by one row can convict a good version, so nothing is guessed here: what is not a count is a
BrokenMetricError that names the column and the value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from controller.ports import BrokenMetricError, NoData, Row, Samples, threshold_text
from controller.stats.counts import MOST_UNITS

MAX_ROWS = 1_000
_WHOLE_WITHIN = 1e-6
_MAX_SHOWN = 60
_MAX_REVISION = 63


def samples(records: Iterable[Mapping[str, object]]) -> Samples | NoData:
    """Rows out of records with the columns revision, bad, total and, where there are several, threshold and half. In
    place of bad there may be good: of a metric of which fewer is worse.

    Raises BrokenMetricError.
    """
    rows: dict[tuple[str, str, str], Row] = {}
    for number, record in enumerate(records, start=1):
        if number > MAX_ROWS:
            raise BrokenMetricError(f"the query returned more than {MAX_ROWS} rows; group it by revision")
        row = _row(record)
        key = (row.revision, row.threshold, row.half)
        if key in rows:
            of = f" and threshold {row.threshold}" if row.threshold else ""
            of += f" and half {row.half}" if row.half else ""
            raise BrokenMetricError(
                f"the query returned two rows for revision {row.revision}{of}; sum them up in the query"
            )
        rows[key] = row
    return Samples(tuple(rows.values())) if rows else NoData()


def _row(record: Mapping[str, object]) -> Row:
    revision = _column(record, "revision")
    if not isinstance(revision, str) or not 0 < len(revision) <= _MAX_REVISION:
        raise BrokenMetricError(f"column revision is {_shown(revision)}, which is not a revision")
    if "good" in record and "bad" not in record:
        bad, total = _not_good(record, revision)
    else:
        bad, total = _count(record, "bad"), _count(record, "total")
    if bad > total:
        raise BrokenMetricError(
            f"columns bad and total of revision {revision} are {bad} and {total}: more bad than all"
        )
    return Row(revision=revision, bad=bad, total=total, threshold=_threshold(record), half=_half(record))


def _not_good(record: Mapping[str, object], revision: str) -> tuple[int, int]:
    good, total = _count(record, "good"), _count(record, "total")
    if good > total:
        raise BrokenMetricError(
            f"columns good and total of revision {revision} are {good} and {total}: more good than all"
        )
    return total - good, total


def _column(record: Mapping[str, object], name: str) -> object:
    if name not in record:
        found = ", ".join(sorted(record)[:10]) or "none"
        raise BrokenMetricError(f"the query returned no column {name} (its columns: {found[:200]})")
    return record[name]


def _count(record: Mapping[str, object], name: str) -> int:
    value = _column(record, name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        what = "empty" if value is None else f"{_shown(value)}, which is not a number"
        raise BrokenMetricError(f"column {name} is {what}")
    if isinstance(value, float) and not math.isfinite(value):
        raise BrokenMetricError(f"column {name} is {value}, which is not a count")
    if abs(value - round(value)) > _WHOLE_WITHIN:
        raise BrokenMetricError(f"column {name} is {value}, which is not a whole number")
    if not 0 <= round(value) <= MOST_UNITS:
        raise BrokenMetricError(f"column {name} is {_shown(value)}, which is not between 0 and 10^9")
    return round(value)


def _threshold(record: Mapping[str, object]) -> str:
    """Seconds as text, `1` and `1.0` alike."""
    value = record.get("threshold")
    if value is None or value == "":
        return ""
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not math.isfinite(seconds) or seconds < 0:
        raise BrokenMetricError(f"column threshold is {_shown(value)}, which is not a number of seconds")
    return threshold_text(seconds)


def _half(record: Mapping[str, object]) -> str:
    value = record.get("half")
    if value is None or value in ("", "a", "b"):
        return str(value or "")
    raise BrokenMetricError(f"column half is {_shown(value)}, which is neither a nor b")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
