"""The shipped dashboards as `pointsman board` draws them: the same panels and queries as in Grafana. Pure.

The definitions are Grafana's JSON in `boards/`, written by `hack/gen-crd`. A query's variables are filled in as Grafana
does it, and `v` is what InfluxDB's own pages define.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from controller.api import times

BOARDS = ("fleet", "operator", "release")
FULL_SPAN = 24
_VARIABLE = re.compile(r"\$\{(\w+)(?::(\w+))?\}")
_POINTS = 120
"""Windows of a graph."""
_LEAST_WINDOW_S = 1.0

Row = Mapping[str, Any]


class BoardError(Exception):
    """A definition that cannot be used; says which part."""


@dataclass(frozen=True)
class Panel:
    title: str
    kind: str
    """Grafana's: timeseries, state-timeline, stat, table, barchart."""
    description: str
    unit: str
    span: int
    """Columns of FULL_SPAN."""
    queries: tuple[str, ...]
    columns: tuple[str, ...] = ()
    """Of a table, in their order."""
    holds: bool = False
    """In a graph a value holds until the next one."""


@dataclass(frozen=True)
class Variable:
    name: str
    query: str


@dataclass(frozen=True)
class Board:
    name: str
    title: str
    panels: tuple[Panel, ...]
    variables: tuple[Variable, ...]
    """Those whose values come from a query."""
    marks: tuple[str, ...]
    """Queries of what is marked in the graphs."""


@dataclass(frozen=True)
class Range:
    """Seconds since the epoch."""

    start: float
    stop: float

    @property
    def window_s(self) -> float:
        return max(_LEAST_WINDOW_S, float(round((self.stop - self.start) / _POINTS)))


_LAST_ROLLOUT = (
    "from(bucket: v.defaultBucket)\n"
    "  |> range(start: v.timeRangeStart, stop: v.timeRangeStop)\n"
    '  |> filter(fn: (r) => r.namespace == "${namespace}" and r.release == "${release}")\n'
)
BEGINNINGS = (
    _LAST_ROLLOUT
    + '  |> filter(fn: (r) => r._measurement == "pointsman.release" and r._field == "attempt")\n'
    + "  |> map(fn: (r) => ({_time: r._time, _value: r._value, attempt: string(v: r._value)}))\n"
    + '  |> group(columns: ["attempt"])\n'
    + "  |> first()\n"
)
"""When each rollout began: `_value` is its number."""
LAST_EVENT = (
    _LAST_ROLLOUT
    + '  |> filter(fn: (r) => r._measurement == "pointsman.event" and r._field == "message")\n'
    + "  |> group()\n"
    + '  |> sort(columns: ["_time"])\n'
    + "  |> last()\n"
)
_LEAST_S = 60.0
_MARGIN = 0.1
"""Of the time that a rollout took: so much is shown before and after it."""


def range_of_last_rollout(beginnings: Sequence[Row], last_event: Sequence[Row], now: float) -> Range | None:
    """None where no rollout is known."""
    if not beginnings:
        return None
    began = max(beginnings, key=lambda row: int(row["_value"]))["_time"].timestamp()
    ended = max((row["_time"].timestamp() for row in last_event), default=now)
    margin = max(_LEAST_S, (ended - began) * _MARGIN)
    return Range(began - margin, min(now, max(began, ended) + margin))


@dataclass(frozen=True)
class Drawn:
    """A panel with the rows of its queries."""

    panel: Panel
    rows: Sequence[Row]

    @property
    def series(self) -> dict[str, list[tuple[float, Any]]]:
        """Of a graph: the points of each line, as seconds since the epoch and value."""
        found: dict[str, list[tuple[float, Any]]] = {}
        for row in self.rows:
            value = row.get("_value")
            if value is not None:
                found.setdefault(str(row.get("series", "")), []).append((row["_time"].timestamp(), value))
        return found

    @property
    def columns(self) -> list[str]:
        """Of a table."""
        return list(dict.fromkeys((*self.panel.columns, *(column for row in self.rows for column in row))))


def load(name: str) -> Board:
    return board_of(name, json.loads(files("controller.views.boards").joinpath(f"{name}.json").read_text()))


def board_of(name: str, raw: Mapping[str, Any]) -> Board:
    """Raises BoardError."""
    try:
        return Board(
            name=name,
            title=raw["title"],
            panels=tuple(_panel(one) for one in _panels(raw)),
            variables=tuple(
                Variable(one["name"], _text_of(one["query"]))
                for one in raw["templating"]["list"]
                if one["type"] == "query"
            ),
            marks=tuple(
                one["target"]["query"] for one in raw["annotations"]["list"] if "query" in one.get("target", {})
            ),
        )
    except (KeyError, TypeError) as error:
        raise BoardError(f"dashboard {name}: {error} is missing or not as expected") from error


def _panels(raw: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Those of a row that is folded stand within it."""
    for panel in raw["panels"]:
        if panel["type"] == "row":
            yield from panel.get("panels", ())
        else:
            yield panel


def _panel(raw: Mapping[str, Any]) -> Panel:
    defaults = raw.get("fieldConfig", {}).get("defaults", {})
    return Panel(
        title=raw["title"],
        kind=raw["type"],
        description=raw.get("description", ""),
        unit=defaults.get("unit", ""),
        span=raw["gridPos"]["w"],
        queries=tuple(target["query"] for target in raw["targets"]),
        columns=_order(raw.get("transformations") or ()),
        holds=defaults.get("custom", {}).get("lineInterpolation") == "stepAfter",
    )


def _order(transformations: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    order = {
        column: index
        for one in transformations
        if one["id"] == "organize"
        for column, index in one["options"]["indexByName"].items()
    }
    return tuple(sorted(order, key=order.__getitem__))


def _text_of(query: Any) -> str:
    return query["query"] if isinstance(query, Mapping) else str(query)


def filled(query: str, values: Mapping[str, Sequence[str]], shown: Range, bucket: str) -> str:
    """As it is sent to InfluxDB. `values`: of the dashboard's variables; what has none means all. Raises BoardError."""
    return _with_option(_VARIABLE.sub(lambda found: _value(found, values), query), shown, bucket)


def _value(found: re.Match[str], values: Mapping[str, Sequence[str]]) -> str:
    name, form = found[1], found[2]
    chosen = values.get(name, ())
    match form:
        case "regex":
            return f"({'|'.join(_in_regex(value) for value in chosen)})" if chosen else ".*"
        case None:
            if len(chosen) != 1:
                raise BoardError(f"variable {name} needs one value")
            return _in_text(chosen[0])
        case _:
            raise BoardError(f"variable {name} has form {form}, which is not known")


def _in_text(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${")


def _in_regex(value: str) -> str:
    return re.escape(value).replace("/", r"\/")


def _with_option(query: str, shown: Range, bucket: str) -> str:
    """Imports come first in Flux, then options."""
    lines = query.split("\n")
    imports = [line for line in lines if line.startswith("import ")]
    rest = [line for line in lines if not line.startswith("import ")]
    option = (
        f"option v = {{timeRangeStart: {times.to_text(shown.start)}, timeRangeStop: {times.to_text(shown.stop)}, "
        f'windowPeriod: {round(shown.window_s * 1000)}ms, defaultBucket: "{_in_text(bucket)}"}}'
    )
    return "\n".join((*imports, option, *rest))
