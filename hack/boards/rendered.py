"""The dashboards as files: Grafana's JSON, and ConfigMaps that its sidecar finds by their label."""

from __future__ import annotations

import json
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from hack.boards import alerts, fleet, flux, kapacitor, operator, release
from hack.boards.panels import SOURCE

_BOARDS = {"fleet": fleet, "operator": operator, "release": release}
_FIRST_LINE = "# Generated from hack/boards by hack/gen-crd; do not edit.\n"
CONFIG_MAPS = "gitops/grafana/dashboards.yaml"


def render() -> dict[str, str]:
    """By their paths."""
    boards = {name: _json(name, module) for name, module in _BOARDS.items()}
    return {
        **{f"controller/views/boards/{name}.json": text for name, text in boards.items()},
        **alerts.render(),
        **kapacitor.render(),
        CONFIG_MAPS: _FIRST_LINE + "---\n".join(_config_map(name, text) for name, text in boards.items()),
    }


def _json(name: str, module: Any) -> str:
    raw = json.loads(JSONEncoder().encode(module.build().build()))
    raw["annotations"] = {"list": _annotations(name)}
    return json.dumps(raw, indent=1, sort_keys=True) + "\n"


def _annotations(name: str) -> list[dict[str, Any]]:
    """What is marked in graphs: the events in InfluxDB; those that the operator wrote to Grafana, if it did."""
    if name != "release":
        return []
    return [
        {
            "name": "Steps and verdicts",
            "enable": True,
            "iconColor": "blue",
            "datasource": {"type": "influxdb", "uid": SOURCE},
            "target": {"refId": "Anno", "query": flux.ACTIONS},
            "mappings": {
                "text": {"source": "field", "value": "message"},
                "title": {"source": "field", "value": "reason"},
            },
        },
        {
            "name": "Annotations by the operator",
            "enable": False,
            "iconColor": "purple",
            "datasource": {"type": "grafana", "uid": "-- Grafana --"},
            "target": {
                "type": "tags",
                "limit": 100,
                "matchAny": False,
                "tags": ["pointsman", "namespace:${namespace}", "release:${release}"],
            },
        },
    ]


def _config_map(name: str, text: str) -> str:
    indented = "".join(f"    {line}\n" for line in text.splitlines())
    return (
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n"
        f"  name: pointsman-dashboard-{name}\n"
        '  labels: {grafana_dashboard: "1"}\n'
        "  annotations: {grafana_folder: Pointsman}\n"
        f"data:\n  pointsman-{name}.json: |\n{indented}"
    )
