"""Alerts as gates: `spec.analysis.alerts`, and an alert that one of them matches, as the status keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.api.fields import Absent, Place, field, record
from controller.api.shapes import LABEL, Custom, Text, Word, a_string, an_object

MOST_GATES = 10
MOST_KEPT = 5
"""Firing alerts in a status, and as many that fire for stable: one of each is enough for a decision."""
LONGEST_NAME, LONGEST_VALUE = 128, 253
_MOST_LABELS = 10


def _labels(value: Any, place: Place) -> Mapping[str, str]:
    raw = an_object(value, place)
    if not 1 <= len(raw) <= _MOST_LABELS:
        raise place.refuse(f"{len(raw)} labels, needs 1 to {_MOST_LABELS}")
    for name, text in raw.items():
        if not 1 <= len(name) <= LONGEST_NAME:
            raise place.refuse(f"a label's name has {len(name)} characters, maximum is {LONGEST_NAME}")
        if len(a_string(text, place.at(name))) > LONGEST_VALUE:
            raise place.at(name).refuse(f"{len(text)} characters, maximum is {LONGEST_VALUE}")
    return dict(raw)


_LABELS = Custom(
    {
        "type": "object",
        "minProperties": 1,
        "maxProperties": _MOST_LABELS,
        "additionalProperties": {"type": "string", "maxLength": LONGEST_VALUE},
    },
    _labels,
)


@record()
class AlertGate:
    match_labels: Mapping[str, str] = field(
        _LABELS,
        "Labels that an alert has, all of them and with these values. What Kapacitor sends has its tags, and alertname "
        "and level.",
    )
    rolls_back: bool = field(
        Word(("rollback", "wait")),
        "What a firing alert does: rollback rejects the new version, wait stops the steps while it fires. One that "
        "fired before the rollout began, or before its first step where it names no version, or that fires for stable "
        "as well, does not roll back.",
        default="rollback",
        key="then",
        convert=lambda word: word == "rollback",
    )

    source: str = field(
        Text(63, 1, LABEL, looks="the name of a MetricSource"),
        "A MetricSource of kind grafana, of this namespace or else of the operator's, that is asked for alerts that "
        "fire. Without it, alerts are sent to the operator.",
        default=Absent(""),
    )

    def matches(self, labels: Mapping[str, str], source: str = "") -> bool:
        """`source`: where the alert was found; empty: it was sent."""
        return source == self.source and all(labels.get(name) == value for name, value in self.match_labels.items())


@dataclass(frozen=True)
class FiringAlert:
    """One that a gate of the Release matches."""

    id: str
    name: str
    since: float
    labels: Mapping[str, str]
    """Those that decide: which gate it is of, and which version it is about."""
    source: str = ""
    """The MetricSource that was asked; empty: it was sent."""
