"""Answers of data sources as Grafana passes them on: what a Flux query groups by becomes labels, an InfluxQL table one
frame for each measurement, and each series of Prometheus a frame of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

_TYPES = {
    "string": ("string", "string"),
    "double": ("number", "float64"),
    "long": ("number", "int64"),
    "unsignedLong": ("number", "uint64"),
    "boolean": ("boolean", "bool"),
    "dateTime:RFC3339": ("time", "time.Time"),
    "dateTime:RFC3339Nano": ("time", "time.Time"),
}

Result = dict[str, Any]


def error(sentence: str, status: int) -> Result:
    return {"error": sentence, "errorSource": "downstream", "status": status}


def frame(fields: list[Result], values: list[list[Any]], name: str = "") -> Result:
    schema: Result = {"refId": "A", "fields": fields} | ({"name": name} if name else {})
    data: Result = {"values": [[None if _is_odd(value) else value for value in column] for column in values]}
    entities = [_entities(column) for column in values]
    if any(entities):
        data["entities"] = entities
    return {"schema": schema, "data": data}


def _is_odd(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _entities(column: list[Any]) -> Result | None:
    found: dict[str, list[int]] = {}
    for row, value in enumerate(column):
        if _is_odd(value):
            name = "NaN" if math.isnan(value) else "Inf" if value > 0 else "NegInf"
            found.setdefault(name, []).append(row)
    return found or None


def flux_frame(table: Any) -> Result:
    columns = [column for column in table.columns if column.label not in ("result", "table")]
    first = table.records[0].values
    labels = {
        column.label: _as_go_prints(first[column.label])
        for column in columns
        if column.group and first[column.label] not in (None, "")
    }
    name = labels.pop("_measurement", "")
    others = [column for column in columns if not column.group]
    others.sort(key=lambda column: not column.data_type.startswith("dateTime"))
    fields, values = [], []
    for column in others:
        kind, frame_type = _TYPES[column.data_type]
        fields.append(
            {
                "name": column.label,
                "type": kind,
                "typeInfo": {"frame": frame_type, "nullable": True},
                "labels": {} if column.label == "_time" else labels,
            }
        )
        cells = [record.values[column.label] for record in table.records]
        values.append([cell.timestamp() * 1000 if kind == "time" and cell else cell for cell in cells])
    return frame(fields, values, name)


def _as_go_prints(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).removesuffix(".0")


def influxql_frames(series: list[Result], text: str) -> list[Result]:
    """One for each measurement and set of tag keys: time, tags, then columns."""
    found: dict[tuple[str, ...], list[Result]] = {}
    for one in series:
        found.setdefault((one["name"], *sorted(one.get("tags") or {})), []).append(one)
    frames = []
    for (name, *tags), alike in found.items():
        rows = [
            [row[0], *(one.get("tags", {})[tag] for tag in tags), *row[1:]] for one in alike for row in one["values"]
        ]
        columns = ["Time", *tags, *alike[0]["columns"][1:]]
        values = [list(cells) for cells in zip(*rows, strict=True)]
        fields = [_influxql_field(column, cells) for column, cells in zip(columns, values, strict=True)]
        made = frame(fields, values, name)
        made["schema"]["meta"] = {"preferredVisualisationType": "table", "executedQueryString": text}
        frames.append(made)
    return frames


def _influxql_field(name: str, cells: list[Any]) -> Result:
    if name == "Time":
        return {"name": name, "type": "time", "typeInfo": {"frame": "time.Time"}}
    text = any(isinstance(cell, str) for cell in cells)
    kind, frame_type = ("string", "string") if text else ("number", "float64")
    return {
        "name": name,
        "type": kind,
        "typeInfo": {"frame": frame_type, "nullable": True},
        "config": {"displayNameFromDS": name},
    }


def prometheus_frames(result_type: str, result: Sequence[Mapping[str, Any]], expression: str) -> list[Result]:
    """Of a vector or a matrix; samples are `[seconds, "value"]`."""
    kind = {"vector": "numeric-multi", "matrix": "timeseries-multi"}[result_type]
    meta = {"type": kind, "typeVersion": [0, 1], "custom": {"resultType": result_type}}
    made = []
    for one in result:
        samples = one["values"] if "values" in one else [one["value"]]
        fields = [
            {"name": "Time", "type": "time", "typeInfo": {"frame": "time.Time"}, "config": {"interval": 1000}},
            {
                "name": "Value",
                "type": "number",
                "typeInfo": {"frame": "float64"},
                "labels": dict(one["metric"]),
                "config": {"displayNameFromDS": str(one["metric"])},
            },
        ]
        values = [[round(moment * 1000) for moment, _ in samples], [float(value) for _, value in samples]]
        made.append(frame(fields, values))
        made[-1]["schema"]["meta"] = meta
    made = made or [frame([], [])]
    made[0]["schema"]["meta"] = {**meta, "executedQueryString": f"Expr: {expression}\nStep: 1s"}
    return made
