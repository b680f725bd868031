"""Alerts as their senders write them: the webhooks of Grafana and of Alertmanager, which are alike, and Kapacitor's.

What identifies an alert is worked out here, of its labels: an id that a sender gives could be that of another alert.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.api import times
from controller.api.text import one_line

MOST_ALERTS = 500
MOST_LABELS = 100
_MOST_CHARACTERS = 8192
"""Of all labels of an alert: a thousand alerts are kept of each namespace."""
_LONGEST_NAME, _LONGEST_VALUE = 128, 1024
_SHOWN = 100
_SAY_NOTHING = frozenset(("DatasourceNoData", "DatasourceError"))
"""Grafana's, for rules that could not be evaluated: an outage of metrics is no sign of a bad version."""
_NANOSECONDS = 1e9
_LEVELS_FIRING = frozenset(("WARNING", "CRITICAL"))
_LEVELS = _LEVELS_FIRING | {"OK", "INFO"}


@dataclass(frozen=True)
class Alert:
    id: str
    name: str
    labels: Mapping[str, str]
    since: float
    """When it began to fire, in seconds since the epoch, by the sender's clock."""
    ended: float | None = None
    """When it stopped; None while it fires."""


@dataclass(frozen=True)
class Delivery:
    """What one request brought."""

    alerts: tuple[Alert, ...]
    left_out: tuple[str, ...] = field(default=())
    """Why others were not taken, in sentences."""


class FormatError(Exception):
    """The body is of no sender that is known; a sentence."""


class _LeftOutError(Exception):
    pass


def read(body: object, now: float) -> Delivery:
    """`now`: no alert begins or ends later. Raises FormatError."""
    if not isinstance(body, Mapping):
        raise FormatError("the body is not a JSON object")
    if isinstance(body.get("alerts"), list):
        return _of_alertmanager(body["alerts"], now)
    if "level" in body and "id" in body:
        return _delivery([body], _of_kapacitor, now)
    raise FormatError(
        "the body has neither alerts, as Grafana and Alertmanager send them, nor id and level, as Kapacitor does"
    )


def _of_alertmanager(alerts: list[Any], now: float) -> Delivery:
    if len(alerts) > MOST_ALERTS:
        raise FormatError(f"{len(alerts)} alerts at once, maximum is {MOST_ALERTS}; set max_alerts of the receiver")
    return _delivery(alerts, _with_labels, now)


def _delivery(raw: list[Any], parse: Any, now: float) -> Delivery:
    alerts: list[Alert] = []
    left_out: list[str] = []
    for one in raw:
        try:
            alerts.append(parse(one, now))
        except _LeftOutError as problem:
            left_out.append(str(problem))
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
            left_out.append("an alert without status, labels or startsAt as they are published")
    return Delivery(tuple(alerts), tuple(left_out))


def _with_labels(raw: Mapping[str, Any], now: float) -> Alert:
    labels = _labels(raw["labels"])
    name = labels.get("alertname", "alert")
    if name in _SAY_NOTHING:
        raise _LeftOutError(f"{name} says that a rule could not be evaluated, and nothing of a version")
    if raw["status"] not in ("firing", "resolved"):
        raise ValueError(raw["status"])
    since = _begun(times.from_rfc3339(raw["startsAt"]), now)
    ended = None if raw["status"] == "firing" else max(since, min(times.from_rfc3339(raw["endsAt"]), now))
    return Alert(_identity(labels), one_line(name, _SHOWN), labels, since, ended)


def _of_kapacitor(raw: Mapping[str, Any], now: float) -> Alert:
    """https://docs.influxdata.com/kapacitor/v1/working/alerts: an id has one state, its level."""
    level, identity = raw["level"], raw["id"]
    if level not in _LEVELS or not isinstance(identity, str) or not identity:
        raise ValueError(level)
    tags: dict[str, Any] = {}
    for series in (raw.get("data") or {}).get("series") or ():
        tags |= series.get("tags") or {}
    labels = _labels({**tags, "alertname": identity[:_LONGEST_VALUE], "level": level})
    at = min(times.from_rfc3339(raw["time"]), now)
    since = _begun(at - max(0, raw.get("duration") or 0) / _NANOSECONDS, now)
    ended = None if level in _LEVELS_FIRING else at
    return Alert(_identity({"kapacitor": identity}), one_line(identity, _SHOWN), labels, since, ended)


def _begun(since: float, now: float) -> float:
    """A status says since when an alert fires, and has no words for what is before the first year."""
    return max(0.0, min(since, now))


def _labels(raw: object) -> dict[str, str]:
    if not isinstance(raw, Mapping):
        raise TypeError(raw)
    if len(raw) > MOST_LABELS:
        raise _LeftOutError(f"an alert has {len(raw)} labels, maximum is {MOST_LABELS}")
    for name, value in raw.items():
        if not isinstance(value, str):
            raise TypeError(value)
        if len(name) > _LONGEST_NAME or len(value) > _LONGEST_VALUE:
            raise _LeftOutError(
                f"a label of an alert is longer than {_LONGEST_NAME} (name) or {_LONGEST_VALUE} (value) characters"
            )
    if sum(len(name) + len(value) for name, value in raw.items()) > _MOST_CHARACTERS:
        raise _LeftOutError(f"the labels of an alert have more than {_MOST_CHARACTERS} characters in all")
    return dict(raw)


def _identity(labels: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(sorted(labels.items())).encode()).hexdigest()[:16]
