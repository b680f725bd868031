"""Alert rules for Kapacitor, as TICKscripts: the same as hack/boards/alerts.py, asked in Flux, of InfluxDB 2.

A task sees one answer at a time, so how long something lasts is a part of the query. An alert of Kapacitor's ends only
when its series says so: what has ended therefore goes on with the value 0 for a while.
"""

from __future__ import annotations

from dataclasses import dataclass

from hack.boards import flux
from hack.boards.alerts import RULES, Rule

FOLDER = "gitops/kapacitor/tasks"
_RELEASE = ("namespace", "release")
_OF_RELEASE = "namespace: r.namespace, release: r.release"
_BUCKET = "v.defaultBucket"
_SINCE_S = "(float(v: uint(v: now())) - float(v: uint(v: r._time))) / 1000000000.0"
_NOW_S = "float(v: uint(v: now())) / 1000000000.0"
_LEVELS = {"critical": "crit", "warning": "warn", "info": "info"}
_UNSEEN_S = 1500
"""A Release at rest is written every 15 minutes; one that is not is gone."""
_UNSCRAPED_S = 300


@dataclass(frozen=True)
class Task:
    """`query`: rows with `value` and the tags that the messages show; the alert fires above `above`."""

    uid: str
    query: str
    above: int
    message: str
    over: str
    """What is said once it has ended."""
    who: str = ""

    @property
    def rule(self) -> Rule:
        return next(rule for rule in RULES if rule.uid == self.uid)

    @property
    def path(self) -> str:
        return f"{FOLDER}/{self.uid}.tick"

    def script(self) -> str:
        rule = self.rule
        fires = f"{self.message} Runbook: ' + runbooks + '/{rule.runbook}"
        message = f'{{{{ if eq .Level "OK" }}}}{self.over}{{{{ else }}}}{fires}{{{{ end }}}}'
        query = self.query.rstrip().replace(_BUCKET, "\"''' + bucket + '''\"")
        return f"""\
// Generated from hack/boards/kapacitor.py by hack/gen-crd; do not edit.
// {rule.title}. For Kapacitor 1.6 and later with InfluxDB 2.
dbrp "metrics"."autogen"

var bucket = 'metrics'
var org = 'example'
var every = 1m
// Where the runbooks are.
var runbooks = 'controller/docs/runbooks'

batch
    |queryFlux('''
{query}
''')
        .org(org)
        .every(every)
    |alert()
        .id('{self.uid}{self.who and ":" + self.who}')
        .message('{message}')
        .{_LEVELS[rule.severity]}(lambda: "value" > {self.above}.0)
        .stateChangesOnly()
        .topic('pointsman')
"""


def _from(since: str, *conditions: str) -> str:
    all_of = " and ".join(conditions)
    return f"from(bucket: {_BUCKET})\n  |> range(start: -{since})\n  |> filter(fn: (r) => {all_of})\n"


def _gauge(metric: str, since: str) -> str:
    return _from(since, f'r._measurement == "{metric}"', 'r._field == "gauge"')


def _lasting(phase: str, since: str) -> str:
    """For how many minutes each Release has had it; of those that have had it at all."""
    return (
        _from(since, 'r._measurement == "pointsman.release"', 'r._field == "phase"')
        + flux.by("cluster", *_RELEASE)
        + '  |> sort(columns: ["_time"])\n'
        + f'  |> stateDuration(fn: (r) => r._value == "{phase}", column: "lasted", unit: 1s)\n'
        + f'  |> map(fn: (r) => ({{r with had: if r._value == "{phase}" then 1 else 0}}))\n'
        + '  |> cumulativeSum(columns: ["had"])\n'
        + "  |> tail(n: 1)\n"
        + "  |> filter(fn: (r) => r.had > 0)\n"
        + f"  |> map(fn: (r) => ({{r with since: {_SINCE_S}}}))\n"
        + f"  |> map(fn: (r) => ({{_time: now(), {_OF_RELEASE}, value: "
        + f"if r.lasted < 0 or r.since > {_UNSEEN_S}.0 then 0.0 else (float(v: r.lasted) + r.since) / 60.0}}))\n"
        + flux.by(*_RELEASE)
        + '  |> max(column: "value")\n'
    )


def _of_moments(metric: str, value: str) -> str:
    """`value`: of `minutes` after the moment that the metric says."""
    return (
        _gauge(metric, "1h")
        + flux.by(*_RELEASE)
        + '  |> sort(columns: ["_time"])\n'
        + "  |> tail(n: 1)\n"
        + f"  |> map(fn: (r) => ({{r with since: {_SINCE_S}, minutes: ({_NOW_S} - float(v: r._value)) / 60.0}}))\n"
        + f"  |> map(fn: (r) => ({{_time: now(), {_OF_RELEASE}, value: "
        + f"if r.since > {_UNSCRAPED_S}.0 then 0.0 else {value}}}))\n"
        + flux.by(*_RELEASE)
    )


_WHO = '{{ index .Tags "namespace" }}/{{ index .Tags "release" }}'
_MINUTES = '{{ index .Fields "value" | printf "%.0f" }} minutes'
_SECONDS = '{{ index .Fields "value" | printf "%.1f" }} seconds'
_NOBODY = "array.from(rows: [{_time: now(), value: 0.0}])"
_OF_ALL = flux.by() + '  |> max(column: "value")\n' + '  |> set(key: "part", value: "operator")\n' + flux.by("part")
"""Of the rows before it one, with a tag: Kapacitor does not understand an answer of so few columns without."""

TASKS = (
    Task(
        "pointsman-no-leader",
        'import "array"\n\nled = '
        + _gauge("pointsman_leader", "2m")
        + flux.by()
        + "  |> max()\n"
        + "  |> map(fn: (r) => ({_time: now(), value: float(v: r._value)}))\n"
        + f"union(tables: [led, {_NOBODY}])\n"
        + _OF_ALL
        + "  |> map(fn: (r) => ({r with value: 1.0 - r.value}))\n",
        0,
        "No Pointsman operator has led for 2 minutes. Services keep running and weights stay, but nothing is judged or "
        "taken back.",
        "A Pointsman operator leads.",
    ),
    Task(
        "pointsman-waiting",
        _lasting("Waiting", "1h"),
        15,
        f"Release {_WHO} has waited for {_MINUTES}.",
        f"Release {_WHO} no longer waits.",
        _WHO,
    ),
    Task(
        "pointsman-git-owed",
        _of_moments("pointsman_release_git_owed_since_timestamp_seconds", "r.minutes"),
        15,
        f"The rollback of {_WHO} is not in git after {_MINUTES}.",
        f"Nothing of {_WHO} is owed to git.",
        _WHO,
    ),
    Task(
        "pointsman-rollback",
        _of_moments("pointsman_release_last_rollback_timestamp_seconds", "15.0 - r.minutes"),
        0,
        f"Release {_WHO} was rolled back in the last 15 minutes.",
        f"The last rollback of {_WHO} was 15 minutes ago.",
        _WHO,
    ),
    Task(
        "pointsman-rejected",
        _lasting("RolledBack", "3h"),
        60,
        f"The manifest of {_WHO} has asked for a rejected version for {_MINUTES}.",
        f"The manifest of {_WHO} no longer asks for a rejected version.",
        _WHO,
    ),
    Task(
        "pointsman-looks-behind",
        'import "array"\n\nlate = '
        + _from("10m", 'r._measurement == "pointsman_look_lag_seconds"', 'r._field != "count"', 'r._field != "sum"')
        + "  |> difference(nonNegative: true)\n"
        + flux.by("_field")
        + "  |> sum()\n"
        + "  |> map(fn: (r) => ({le: float(v: r._field), _value: r._value}))\n"
        + flux.by()
        + "  |> histogramQuantile(quantile: 0.99)\n"
        + "  |> filter(fn: (r) => exists r._value)\n"
        + "  |> map(fn: (r) => ({_time: now(), value: r._value}))\n"
        + f"union(tables: [late, {_NOBODY}])\n"
        + _OF_ALL,
        5,
        f"Looks are made {_SECONDS} late (99th percentile of 10 minutes).",
        "Looks are made in time.",
    ),
)


def render() -> dict[str, str]:
    """By their paths."""
    return {task.path: task.script() for task in TASKS}
