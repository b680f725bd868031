"""A Release's strategy, as views name what happens under it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller import registry
from controller.api.choice import OneOf
from controller.api.fields import Place
from controller.api.reading import SpecError
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


def words_of_release(release: Mapping[str, Any]) -> Words:
    return words_of(switches=getattr(strategy_of(release), "switches", False))
