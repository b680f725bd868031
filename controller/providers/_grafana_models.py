"""What each kind of data source is asked through Grafana, and how its frames become records.

The models are those that Grafana's own data sources read: a query's text for InfluxDB; for Prometheus an instant query
for each selector and moment, of which `_promql.py` takes the differences, as when Prometheus is asked directly.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.ports import BrokenMetricError, Query, Window
from controller.providers._frames import REF_ID, records, time_series
from controller.providers._languages import Dialect, windowed
from controller.providers._promql import PROMQL, Answer, Series, counted, lines_of
from controller.providers.influxdb import FLUX, INFLUXQL

Records = Sequence[Mapping[str, object]]
_MACRO = r"\$\{?__\w+"
_MACROS = {
    # of any word before the dot: older versions do not see whether that is `v`
    FLUX.name: re.compile(
        r"[A-Za-z]\.(timeRangeStart|timeRangeStop|windowPeriod|bucket|defaultBucket|organization)(?![A-Za-z])|" + _MACRO
    ),
    INFLUXQL.name: re.compile(r"\$\{?(__\w+|timeFilter|interval)"),
    PROMQL.name: re.compile(_MACRO),
}


@dataclass(frozen=True)
class Found:
    """What was in an answer; frames that are none have been told by then."""

    counts: Callable[[], Records]
    """Raises BrokenMetricError."""
    rows: Callable[[], bool]
    """Whether it has any."""


@dataclass(frozen=True)
class Questions:
    """`models`: by refId, without the data source. `read`: an answer; raises the errors of `_frames.py`."""

    models: Mapping[str, Mapping[str, Any]]
    read: Callable[[bytes], Found]


def _of_influxdb(query: Query, window: Window, dialect: Dialect) -> Questions:
    model: dict[str, Any] = {"query": _plain(windowed(query, window, dialect), dialect)}
    if dialect is INFLUXQL:
        model |= {"rawQuery": True, "resultFormat": "table"}

    def read(body: bytes) -> Found:
        found = records(body)
        return Found(lambda: found, lambda: bool(found))

    return Questions({REF_ID: model}, read)


def _of_prometheus(query: Query, window: Window, dialect: Dialect) -> Questions:
    """Each expression says its moment itself: some versions of Grafana align that of an instant query."""
    lines = lines_of(_plain(query.text, dialect))
    before = {f"B{number}": line.before_at(window) for number, line in enumerate(lines)}
    within = {f"W{number}": line.of_window_at(window) for number, line in enumerate(lines)}

    def read(body: bytes) -> Found:
        found = [[Series(*one) for one in of_query] for of_query in time_series(body, (*before, *within))]
        halves = zip(lines, found[: len(lines)], found[len(lines) :], strict=True)
        answers = [Answer(*half) for half in halves]
        return Found(lambda: counted(answers, window), lambda: any(answer.has_samples(window) for answer in answers))

    return Questions(
        {
            ref: {"expr": expression, "instant": True, "range": False, "format": "time_series"}
            for ref, expression in (before | within).items()
        },
        read,
    )


ASKING: Mapping[str, tuple[Callable[[Query, Window, Dialect], Questions], Mapping[str, Dialect]]] = {
    "influxdb": (_of_influxdb, {FLUX.name: FLUX, INFLUXQL.name: INFLUXQL}),
    "prometheus": (_of_prometheus, {PROMQL.name: PROMQL}),
}
"""By the type of a data source, with the languages that it is asked in."""


def questions(kind: str, query: Query, window: Window) -> Questions:
    """`kind`: of the data source. Raises BrokenMetricError."""
    ask, spoken = ASKING[kind]
    dialect = spoken.get(query.language)
    if dialect is None:
        raise BrokenMetricError(f"a data source of type {kind} supports {' and '.join(spoken)}, not {query.language}")
    return ask(query, window, dialect)


def _plain(text: str, dialect: Dialect) -> str:
    """Raises BrokenMetricError."""
    macro = _MACROS[dialect.name].search(text)
    if macro is not None:
        raise BrokenMetricError(f"the query holds {macro[0]!r}, which Grafana replaces; write it in another way")
    return text
