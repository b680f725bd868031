"""Requests as Grafana, Alertmanager and Kapacitor publish them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC).timestamp()
NEVER = "0001-01-01T00:00:00Z"


def text(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


def alert(
    since: float = NOW - 60, ended: float | None = None, *, more: Mapping[str, str] | None = None, **labels: str
) -> dict[str, Any]:
    """`more`: labels beside `labels`."""
    named = {"alertname": "Errors", **labels, **(more or {})}
    return {
        "status": "firing" if ended is None else "resolved",
        "labels": named,
        "annotations": {"summary": "too many errors"},
        "startsAt": text(since),
        "endsAt": NEVER if ended is None else text(ended),
        "generatorURL": "http://prometheus:9090/graph",
        "fingerprint": "c6eadffa33fcdf37",
    }


def alertmanager(*alerts: dict[str, Any]) -> dict[str, Any]:
    """Version 4 of its webhook: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config"""
    return {
        "version": "4",
        "groupKey": '{}:{alertname="Errors"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "pointsman",
        "groupLabels": {"alertname": "Errors"},
        "commonLabels": {"alertname": "Errors"},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "alerts": list(alerts),
    }


def grafana(*alerts: dict[str, Any]) -> dict[str, Any]:
    """https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/"""
    own = {
        "silenceURL": "https://grafana.example.com/alerting/silence/new",
        "dashboardURL": "",
        "panelURL": "",
        "values": {"B": 44.2, "C": 1},
    }
    return {
        **alertmanager(*({**one, **own} for one in alerts)),
        "version": "1",
        "orgId": 1,
        "title": "[FIRING:1] Errors",
        "state": "alerting",
        "message": "**Firing**",
    }


def kapacitor(level: str, *, at: float = NOW, duration: float = 0.0, **tags: str) -> dict[str, Any]:
    """https://docs.influxdata.com/kapacitor/v1/working/alerts/"""
    return {
        "id": "errors:service=web",
        "message": f"errors:service=web is {level}",
        "details": "<b>errors</b>",
        "time": text(at),
        "duration": int(duration * 1e9),
        "level": level,
        "data": {
            "series": [
                {
                    "name": "http",
                    "tags": {"service": "web", **tags},
                    "columns": ["time", "rate"],
                    "values": [[text(at), 0.2]],
                }
            ]
        },
        "previousLevel": "OK",
        "recoverable": True,
    }
