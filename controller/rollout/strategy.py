"""The word between the walker and its strategies."""

from __future__ import annotations

from typing import Protocol

from controller.rollout.sizing import Sizes, Sizing


class Strategy(Protocol):
    """What a strategy says beside its steps, which stand in `ReleaseSpec.steps`."""

    def sizes(self, sizing: Sizing, replicas: int, weight: float) -> Sizes:
        """Pods for a canary that gets `weight` percent of the work, and for stable meanwhile."""
        ...
