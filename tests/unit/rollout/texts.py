"""Decisions without their texts: what people read may change, and what is done must not."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
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
    """What holds no text is given back as it is: it is shared by most decisions, and most of what is looked at."""
    kind: Any = type(value)  # a type is hashable, which mypy does not know
    names = _names_of(kind)
    if names is not None:
        changes = {}
        for name, is_text in names:
            before = getattr(value, name)
            after = (before and "another text") if is_text and isinstance(before, str) else _scrub(before)
            if after is not before:
                changes[name] = after
        return replace(value, **changes) if changes else value
    if isinstance(value, Mapping):
        # a notice, as it is owed, holds the texts of what it is about
        return {
            key: (inner and "another text") if key in TEXTS and isinstance(inner, str) else _scrub(inner)
            for key, inner in value.items()
        }
    if isinstance(value, tuple):
        found = [_scrub(inner) for inner in value]
        return tuple(found) if any(map(operator.is_not, found, value)) else value
    return value


@cache
def _names_of(kind: type) -> tuple[tuple[str, bool], ...] | None:
    """The name of each field of a dataclass, and whether it is a text; None for any other type."""
    if not is_dataclass(kind):
        return None
    kept = ("reason",) if issubclass(kind, TYPED) else ()
    return tuple((one.name, one.name in TEXTS and one.name not in kept) for one in fields(kind))
