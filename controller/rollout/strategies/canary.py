"""`canary`: a small share of the work first, and more in steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from controller.api.reading import Reader, SpecError
from controller.api.release import Scale
from controller.rollout.sizing import Sizes, Sizing, sizes
from controller.rollout.step import Step

KIND = "canary"


@dataclass(frozen=True)
class Canary:
    scale: Scale
    steps: tuple[Step, ...] = ()

    def sizes(self, sizing: Sizing, replicas: int, weight: float) -> Sizes:
        return sizes(sizing, self.scale, replicas, weight)

    @classmethod
    def parse(cls, canary: Reader, step: Callable[[Reader], Step]) -> Canary:
        canary.only("scale", "steps")
        return cls(_parse_scale(canary), tuple(step(item) for item in canary.items("steps")))


def _parse_scale(canary: Reader) -> Scale:
    value: Any = canary.raw.get("scale", "matchWeight")
    if value == "matchWeight":
        return Scale()
    if value == "full":
        return Scale(full=True)
    if isinstance(value, Mapping):
        return Scale(fixed=canary.child("scale").only("replicas").integer("replicas", least=1))
    raise SpecError(canary.at("scale"), f"{value!r} is not matchWeight, full or {{replicas: n}}")


Config = Canary
SCHEMA: dict[str, Any] = {}
EXAMPLE: dict[str, Any] = {"canary": {"steps": [{"weight": 5, "analyze": {"atMost": "10m"}}]}}
