"""Requests that reach the new version whatever the weight: by a host name of its own, or by a header."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from controller.rollout.step import Step


@dataclass(frozen=True)
class Reach:
    """Exactly one of the two."""

    hostnames: tuple[str, ...] = ()
    header: tuple[str, str] | None = None
    """Name and value of a request's header."""


@dataclass(frozen=True)
class Preview:
    revision: str
    """What is reached; empty where what is there is not what Pointsman wrote."""
    reach: Reach


def reach_of(step: Step) -> Reach | None:
    """Of a step that lets some requests at the canary; others have no such attribute."""
    found: Reach | None = getattr(step, "reach", None)
    return found
