"""`canary`: a small share of the work first, and more in steps."""

from __future__ import annotations

from typing import Any, ClassVar

from controller.api.fields import Absent, field, record
from controller.api.reach import Sticky
from controller.api.shapes import Record, Word
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
    baseline: str = field(
        Word(("stable", "fresh")),
        "What the canary is compared with. stable (the default): the pods that run. fresh: as many new pods of the "
        "stable version, with the same weight, so that neither is blamed for a cold start. They cost pods, and proof "
        "takes longer.",
        default=Absent("stable"),
    )
    sticky: Sticky | None = field(
        Record(Sticky),
        "Keep each client with one version, by a cookie; no router can do it by a header. Metrics have to count "
        "clients then (MetricTemplate spec.unit), and the weight is the canary's share of new ones.",
        default=Absent(),
    )
    steps: tuple[Step, ...] = field(
        STEPS, "The steps in order, one kind per entry. After the last one the version is promoted.", default=[]
    )

    @property
    def fresh_baseline(self) -> bool:
        return self.baseline == "fresh"

    @property
    def cookie(self) -> str:
        return "" if self.sticky is None else self.sticky.cookie

    def sizes(self, sizing: Sizing, replicas: int, weight: float) -> Sizes:
        return sizes(sizing, self.scale, replicas, weight)


Config = Canary
