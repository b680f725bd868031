"""A Release's strategy, as views name what happens under it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller import registry
from controller.api.choice import OneOf
from controller.api.fields import Place
from controller.api.reading import SpecError
from controller.api.status import Status
from controller.rollout.strategy import Words, words_of


def strategy_of(release: Mapping[str, Any]) -> Any:
    """What it compiles to; None where this installation does not have it."""
    written = release.get("spec", {}).get("strategy") or {"canary": {}}
    try:
        return OneOf("strategies").parse(written, Place("spec.strategy", registry.kinds())).config
    except SpecError:
        return None


def new_version(release: Mapping[str, Any]) -> str:
    """What the version on trial is called, in a table."""
    return words_of_release(release).label


def work_of(release: Mapping[str, Any], status: Status) -> str:
    """What the version on trial has of the work, or gets without, in a sentence."""
    if without_work := reached_by(status):
        return without_work
    if not switches(release):
        return f"{status.weight:g} % of the work"
    return "all of the work" if status.weight > 0 else "no work before the switch"


def reached_by(status: Status) -> str:
    """What reaches a version that is judged without work; empty where none is."""
    if status.weight <= 0 and status.copied:
        return f"no work, copies of {status.copied:g} % of the requests"
    return "no work but the requests with its header" if status.weight <= 0 and status.chosen else ""


def kept_old(release: Mapping[str, Any], status: Status) -> str:
    """What is to be said of stable after a switch; empty at any other time."""
    switched = status.stable != "" and status.canary != "" and status.weight > 0 and switches(release)
    return ", kept without work to take it back" if switched else ""


def switches(release: Mapping[str, Any]) -> bool:
    found: bool = getattr(strategy_of(release), "switches", False)
    return found


def words_of_release(release: Mapping[str, Any]) -> Words:
    return words_of(switches=switches(release))
