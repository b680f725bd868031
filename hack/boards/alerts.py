"""Alert rules for Grafana, as its provisioning reads them: the same as gitops/alerts/prometheus.yaml, asked in Flux."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from hack.boards import flux

PATH = "gitops/grafana/alerts.yaml"
_FIRST_LINE = "# Generated from hack/boards/alerts.py by hack/gen-crd; do not edit.\n"
_SOURCE = "influxdb"
_RELEASE = ("namespace", "release")
_AGE = "float(v: uint(v: now())) / 1000000000.0 - float(v: r._value)"


@dataclass(frozen=True)
class Rule:
    """Fires while the last value is above `above`, for so long."""

    uid: str
    title: str
    runbook: str
    severity: str
    summary: str
    query: str
    above: float
    looks_back_s: int
    lasts: str = "0s"
    without_data: str = "OK"


def _last_phase(phase: str) -> str:
    """1 for each Release whose last phase it is."""
    return (
        flux.points("pointsman.release", flux.fields("phase"))
        + flux.by("cluster", *_RELEASE)
        + "  |> last()\n"
        + f'  |> filter(fn: (r) => r._value == "{phase}")\n'
        + "  |> map(fn: (r) => ({_time: r._time, _value: 1.0, namespace: r.namespace, release: r.release}))\n"
        + flux.by(*_RELEASE)
        + "  |> max()\n"
    )


def _of_moments(metric: str, value: str) -> str:
    """From the last of a metric that says moments, for each Release."""
    return (
        flux.points(metric, 'r._field == "gauge"')
        + flux.by(*_RELEASE)
        + "  |> max()\n"
        + f"  |> map(fn: (r) => ({{_time: now(), _value: {value}, namespace: r.namespace, release: r.release}}))\n"
        + flux.by(*_RELEASE)
    )


_WHO = "{{ $labels.namespace }}/{{ $labels.release }}"
RULES = (
    Rule(
        "pointsman-no-leader",
        "No Pointsman operator leads",
        "no-leader.md",
        "critical",
        "Services keep running and weights stay, but nothing is judged or taken back.",
        flux.points("pointsman_leader", 'r._field == "gauge"')
        + "  |> last()\n"
        + flux.by()
        + "  |> sum()\n"
        + "  |> map(fn: (r) => ({_time: now(), _value: if r._value < 1.0 then 1.0 else 0.0}))\n",
        above=0,
        looks_back_s=90,
        lasts="2m",
        without_data="Alerting",
    ),
    Rule(
        "pointsman-waiting",
        "A release has waited for 15 minutes",
        "waiting.md",
        "warning",
        f"Release {_WHO} has waited for 15 minutes.",
        _last_phase("Waiting"),
        above=0,
        looks_back_s=1800,
        lasts="15m",
    ),
    Rule(
        "pointsman-git-owed",
        "A rollback is not in git after 15 minutes",
        "git-owed.md",
        "warning",
        f"The rollback of {_WHO} is not in git after 15 minutes.",
        _of_moments("pointsman_release_git_owed_since_timestamp_seconds", _AGE),
        above=900,
        looks_back_s=300,
    ),
    Rule(
        "pointsman-rollback",
        "A version was rolled back",
        "rollback.md",
        "info",
        f"Release {_WHO} was rolled back in the last 15 minutes.",
        _of_moments("pointsman_release_last_rollback_timestamp_seconds", f"900.0 - ({_AGE})"),
        above=0,
        looks_back_s=300,
    ),
    Rule(
        "pointsman-rejected",
        "A manifest asks for a rejected version",
        "rejected.md",
        "warning",
        f"The manifest of {_WHO} has asked for a rejected version for an hour.",
        _last_phase("RolledBack"),
        above=0,
        looks_back_s=1800,
        lasts="1h",
    ),
    Rule(
        "pointsman-looks-behind",
        "Looks fall behind",
        "looks-behind.md",
        "warning",
        "Looks are made more than 5 seconds late (99th percentile).",
        flux.lag_in("v.timeRangeStart", "v.timeRangeStop"),
        above=5,
        looks_back_s=300,
        lasts="5m",
    ),
)


def render() -> dict[str, str]:
    group = {
        "orgId": 1,
        "name": "pointsman",
        "folder": "Pointsman",
        "interval": "1m",
        "rules": [_raw(rule) for rule in RULES],
    }
    document = {"apiVersion": 1, "groups": [group]}
    return {PATH: _FIRST_LINE + yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)}


def _raw(rule: Rule) -> dict[str, Any]:
    shown = {"from": rule.looks_back_s, "to": 0}
    expression = {"relativeTimeRange": {"from": 0, "to": 0}, "datasourceUid": "__expr__"}
    return {
        "uid": rule.uid,
        "title": rule.title,
        "condition": "above",
        "for": rule.lasts,
        "noDataState": rule.without_data,
        "execErrState": "Error",
        "labels": {"severity": rule.severity},
        "annotations": {"summary": rule.summary, "runbook_url": f"controller/docs/runbooks/{rule.runbook}"},
        "data": [
            {
                "refId": "asked",
                "relativeTimeRange": shown,
                "datasourceUid": _SOURCE,
                "model": {"refId": "asked", "query": rule.query, "intervalMs": 10000, "maxDataPoints": 100},
            },
            {
                "refId": "last",
                **expression,
                "model": {"refId": "last", "type": "reduce", "expression": "asked", "reducer": "last"},
            },
            {
                "refId": "above",
                **expression,
                "model": {
                    "refId": "above",
                    "type": "threshold",
                    "expression": "last",
                    "conditions": [{"evaluator": {"type": "gt", "params": [rule.above]}}],
                },
            },
        ],
    }


class _Dumper(yaml.SafeDumper):
    """Queries as blocks."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
