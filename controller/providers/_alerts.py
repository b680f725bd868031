"""Alerts as the API of Alertmanager lists them (v2), which Grafana has as well."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from controller.api import times
from controller.api.alerts import FiringAlert
from controller.api.text import one_line
from controller.ports import BrokenMetricError, SourceOutageError

PATH = "/api/alertmanager/grafana/api/v2/alerts"
"""Of Grafana's own alerts, https://grafana.com/docs/grafana/latest/developers/http_api/alerting/"""
_MOST = 1_000
_MOST_LABELS = 100
_SHOWN = 100
_SAY_NOTHING = frozenset(("DatasourceNoData", "DatasourceError"))


def parameters(labels: Mapping[str, str]) -> list[tuple[str, str]]:
    """Of the request: alerts that fire and that nobody has silenced, with these labels."""
    states = [("active", "true"), ("silenced", "false"), ("inhibited", "false"), ("unprocessed", "false")]
    return states + [("filter", f"{name}={json.dumps(value, ensure_ascii=False)}") for name, value in labels.items()]


def firing(body: bytes, labels: Mapping[str, str]) -> tuple[FiringAlert, ...]:
    """Raises SourceOutageError, BrokenMetricError, with a part of a sentence."""
    try:
        listed = json.loads(body)
        if not isinstance(listed, list):
            raise TypeError(listed)  # noqa: TRY301 - it is one of many ways to be none
        if len(listed) > _MOST:
            raise BrokenMetricError(f"lists {len(listed)} alerts, maximum is {_MOST}; name more labels")
        found = [_alert(one) for one in listed if one["status"]["state"] == "active"]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise SourceOutageError("answered with something that is not a list of alerts") from error
    return tuple(
        alert
        for alert in found
        if labels.items() <= alert.labels.items() and alert.labels.get("alertname") not in _SAY_NOTHING
    )


def _alert(raw: Mapping[str, Any]) -> FiringAlert:
    labels = {str(name): str(value) for name, value in list(raw["labels"].items())[:_MOST_LABELS]}
    identity = hashlib.sha256(json.dumps(sorted(labels.items())).encode()).hexdigest()[:16]
    name = one_line(labels.get("alertname", "alert"), _SHOWN)
    return FiringAlert(identity, name, times.from_rfc3339(raw["startsAt"]), labels)
