"""How many pods each version needs for the share of the work it gets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from controller.api.strategy import Scale

_WHOLE = 100.0
_NEARLY_WHOLE = 80.0
"""From here on a canary is about to be stable: it gets all its pods, whatever `scale` says."""


class Sizing(Enum):
    """What a share of the work means for pods, declared by each router."""

    BY_WEIGHT = "by-weight"
    """The router splits the work; pods only have to carry it."""
    BY_PODS = "by-pods"
    """The pods are the split: work spreads evenly over all of them."""
    BY_CLAIMS = "by-claims"
    """Consumers take what they are entitled to, and must be able to: one that cannot is taken back for it."""

    @property
    def written(self) -> bool:
        """The weight is written down somewhere, and pods only have to carry it."""
        return self is not Sizing.BY_PODS


_HEADROOM, _HEADROOM_CLAIMS = 1.25, 1.5
"""A canary sized exactly for its share has no room for the share's own noise."""


@dataclass(frozen=True)
class Sizes:
    stable: int
    canary: int


def sizes(sizing: Sizing, scale: Scale, replicas: int, weight: float) -> Sizes:
    """Pods for a canary that gets `weight` percent, and for stable beside it."""
    if replicas == 0:
        return Sizes(0, 0)
    match sizing:
        case Sizing.BY_WEIGHT:
            return Sizes(replicas, _canary(scale, replicas, weight, _HEADROOM * weight / _WHOLE))
        case Sizing.BY_CLAIMS:
            return Sizes(replicas, _canary(scale, replicas, weight, _part_of_claims(weight / _WHOLE)))
        case Sizing.BY_PODS:
            if weight >= _WHOLE:
                return Sizes(replicas, replicas)
            if weight <= 0:
                return Sizes(replicas, 1)
            canary = max(1, round(replicas * weight / 100))
            return Sizes(max(1, replicas - canary), canary)
        case _:
            assert_never(sizing)


def _part_of_claims(share: float) -> float:
    """With a backlog stable claims what its slots can, and the canary can have its share only beside that.

    From a third on that is more than the headroom: with 75 % of stable's pods for 50 % a healthy canary got 42.7 %.
    """
    return max(_HEADROOM_CLAIMS * share, share / (1 - share) if share < 1 else 1.0)


def _canary(scale: Scale, replicas: int, weight: float, part: float) -> int:
    """`part`: how many pods it should have, of stable's."""
    if scale.full or weight >= _NEARLY_WHOLE:
        return replicas
    if scale.fixed is not None:
        return scale.fixed
    return min(replicas, max(1, math.ceil(part * replicas)))
