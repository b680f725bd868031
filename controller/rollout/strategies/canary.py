"""`canary`: a small share of the work first, and more in steps."""

from __future__ import annotations

from typing import Any, ClassVar

from controller.api.fields import field, record
from controller.api.strategy import SCALE, STEPS, Scale
from controller.rollout.sizing import Sizes, Sizing, sizes
from controller.rollout.step import Step

KIND = "canary"
EXAMPLE: dict[str, Any] = {"steps": [{"weight": 5, "analyze": {"atMost": "10m"}}]}


@record("A growing share of the work, under analysis.")
class Canary:
    switches: ClassVar[bool] = False
    reach: ClassVar[None] = None

    scale: Scale = field(
        SCALE,
        "Pods of the canary: matchWeight (its share of spec.replicas and a quarter more, at least 1), full "
        "(spec.replicas), or {replicas: n}.",
        default="matchWeight",
    )
    steps: tuple[Step, ...] = field(
        STEPS, "The steps in order, one kind per entry. After the last one the version is promoted.", default=[]
    )

    def sizes(self, sizing: Sizing, replicas: int, weight: float) -> Sizes:
        return sizes(sizing, self.scale, replicas, weight)


Config = Canary
