"""What Grafana publishes of `POST /api/ds/query` and of the Alertmanager that it has, as JSON Schema.

Of the request: the page "Data source HTTP API" (MetricRequest), and the query models of its data sources for InfluxDB
and Prometheus. Of the answer: QueryDataResponse and the JSON of data frames as its plugin SDK documents it. Of alerts:
gettableAlerts of Alertmanager's OpenAPI, version 2. Nothing else may be there, so that a test fails where Grafana would
silently leave something out.
"""

from __future__ import annotations

from typing import Any

_TEXT = {"type": "string"}
_LABELS = {"type": "object", "additionalProperties": _TEXT}
_ROWS = {"type": "array", "items": {"type": "integer", "minimum": 0}}


def _closed(properties: dict[str, Any], *, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


_OF_EACH = {
    "refId": {"type": "string", "minLength": 1},
    "intervalMs": {"type": "integer", "minimum": 1},
    "maxDataPoints": {"type": "integer", "minimum": 1},
}
_OPTIONAL = ("intervalMs", "maxDataPoints")


def _source(kind: str) -> dict[str, Any]:
    return _closed({"uid": {"type": "string", "minLength": 1}, "type": {"const": kind}})


QUERY = {
    "oneOf": [
        _closed(
            {
                **_OF_EACH,
                "datasource": _source("influxdb"),
                "query": {"type": "string", "minLength": 1},
                "rawQuery": {"type": "boolean"},
                "resultFormat": {"enum": ["time_series", "table", "logs"]},
            },
            optional=(*_OPTIONAL, "rawQuery", "resultFormat"),
        ),
        _closed(
            {
                **_OF_EACH,
                "datasource": _source("prometheus"),
                "expr": {"type": "string", "minLength": 1},
                "instant": {"type": "boolean"},
                "range": {"type": "boolean"},
                "exemplar": {"type": "boolean"},
                "format": {"enum": ["time_series", "table", "heatmap"]},
                "editorMode": {"enum": ["code", "builder"]},
                "legendFormat": _TEXT,
            },
            optional=(*_OPTIONAL, "instant", "range", "exemplar", "format", "editorMode", "legendFormat"),
        ),
    ]
}
REQUEST = _closed(
    {
        "from": {"type": "string", "pattern": r"^([0-9]+|now(-[0-9]+[smhd])?)$"},
        "to": {"type": "string", "pattern": r"^([0-9]+|now(-[0-9]+[smhd])?)$"},
        "queries": {"type": "array", "minItems": 1, "items": QUERY},
    }
)

_FIELD = _closed(
    {
        "name": _TEXT,
        "type": {"enum": ["time", "number", "string", "boolean", "duration", "enum", "other"]},
        "typeInfo": _closed({"frame": _TEXT, "nullable": {"type": "boolean"}}, optional=("nullable",)),
        "labels": _LABELS,
        "config": {"type": "object"},
    },
    optional=("labels", "config"),
)
_META = _closed(
    {
        "type": _TEXT,
        "typeVersion": {"type": "array", "items": {"type": "integer"}},
        "custom": {"type": "object"},
        "executedQueryString": _TEXT,
        "preferredVisualisationType": _TEXT,
        "notices": {
            "type": "array",
            "items": _closed({"severity": {"enum": ["info", "warning", "error"]}, "text": _TEXT}),
        },
    },
    optional=("type", "typeVersion", "custom", "executedQueryString", "preferredVisualisationType", "notices"),
)
FRAME = _closed(
    {
        "schema": _closed(
            {"name": _TEXT, "refId": _TEXT, "meta": _META, "fields": {"type": "array", "items": _FIELD}},
            optional=("name", "refId", "meta"),
        ),
        "data": _closed(
            {
                "values": {"type": "array", "items": {"type": "array"}},
                "entities": {
                    "type": "array",
                    "items": {
                        "anyOf": [
                            {"type": "null"},
                            _closed({"NaN": _ROWS, "Inf": _ROWS, "NegInf": _ROWS}, optional=("NaN", "Inf", "NegInf")),
                        ]
                    },
                },
                "nanos": {"type": "array"},
            },
            optional=("entities", "nanos"),
        ),
    }
)
ANSWER = _closed(
    {
        "results": {
            "type": "object",
            "additionalProperties": _closed(
                {
                    "status": {"type": "integer"},
                    "error": _TEXT,
                    "errorSource": {"enum": ["plugin", "downstream"]},
                    "frames": {"type": "array", "items": FRAME},
                },
                optional=("error", "errorSource", "frames"),
            ),
        }
    }
)

_MOMENT = {"type": "string", "format": "date-time"}
ALERTS = {
    "type": "array",
    "items": _closed(
        {
            "annotations": _LABELS,
            "receivers": {"type": "array", "items": _closed({"name": _TEXT})},
            "fingerprint": _TEXT,
            "startsAt": _MOMENT,
            "updatedAt": _MOMENT,
            "endsAt": _MOMENT,
            "status": _closed(
                {
                    "state": {"enum": ["unprocessed", "active", "suppressed"]},
                    "silencedBy": {"type": "array", "items": _TEXT},
                    "inhibitedBy": {"type": "array", "items": _TEXT},
                }
            ),
            "labels": _LABELS,
            "generatorURL": _TEXT,
        },
        optional=("generatorURL",),
    ),
}
