"""Requests that reach the new version whatever the weight: by a host name of its own, by a header, or as copies."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from controller.rollout.step import Step


@dataclass(frozen=True)
class Reach:
    """Exactly one of the three."""

    hostnames: tuple[str, ...] = ()
    header: tuple[str, str] | None = None
    """Name and value of a request's header."""
    mirror: float = 0.0
    """Percent of everybody's requests that is copied, and the answer dropped."""

    @property
    def noun(self) -> str:
        return "mirror" if self.mirror else "preview"


@dataclass(frozen=True)
class Preview:
    revision: str
    """What is reached; empty where what is there is not what Pointsman wrote."""
    reach: Reach


def is_mirror(preview: Preview | None) -> bool:
    return preview is not None and preview.reach.mirror > 0


def reach_of(step: Step) -> Reach | None:
    """Of a step that lets some requests at the canary; others have no such attribute."""
    found: Reach | None = getattr(step, "reach", None)
    return found


def are_judged_before_work(steps: Iterable[Step]) -> bool:
    """One of them analyzes what reaches the version without a weight."""
    return any(step.analyzes and reach_of(step) is not None for step in steps)
