"""Decisions without their texts: what people read may change, and what is done must not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from controller.rollout.converge import Decision
from controller.rollout.decide import decide
from controller.rollout.effect import Answered
from controller.rollout.observation import ConfigTrouble, MetricTrouble, Observation, PodTrouble

TEXTS = frozenset(
    {
        "message",
        "reason",
        "evidence",
        "why",
        "judged",
        "share_lag",
        "late",
        "by",
        "approved_by",
        "paused_by",
        "full_by",
        "change",
        "note",
    }
)
TYPED = (ConfigTrouble, MetricTrouble, PodTrouble)
"""Their `reason` is a kind of trouble, and no text."""


def other_texts(seen: Observation) -> Observation:
    """The same world, in which every text that is not empty is another one."""
    return replace(
        seen,
        **{
            name: _scrub(getattr(seen, name))
            for name in (
                "status",
                "revisions",
                "metric_trouble",
                "share_lag",
                "late",
                "requests",
                "config_trouble",
                "config_change",
            )
        },
        effects={name: one if isinstance(one, Answered) else _scrub(one) for name, one in seen.effects.items()},
    )


def texts_steer_nothing(seen: Observation, now: float, decision: Decision) -> None:
    other = decide(other_texts(seen), now)
    assert _scrub(other) == _scrub(decision), "a text has steered a decision"


def _scrub(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        kept = ("reason",) if isinstance(value, TYPED) else ()
        changes = {}
        for one in fields(value):
            inner = getattr(value, one.name)
            is_text = one.name in TEXTS and one.name not in kept and isinstance(inner, str)
            changes[one.name] = (inner and "another text") if is_text else _scrub(inner)
        return replace(value, **changes)
    if isinstance(value, Mapping):
        # a notice, as it is owed, holds the texts of what it is about
        return {
            key: (inner and "another text") if key in TEXTS and isinstance(inner, str) else _scrub(inner)
            for key, inner in value.items()
        }
    if isinstance(value, tuple):
        return tuple(_scrub(inner) for inner in value)
    return value
