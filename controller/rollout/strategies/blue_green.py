"""`blueGreen`: the new version beside the old one without work, then all of the work in one switch, and back in one."""

from __future__ import annotations

from typing import Any, ClassVar

from controller.api.fields import Absent, field, record
from controller.api.reach import Preview
from controller.api.shapes import Duration, Integer, Record
from controller.api.strategy import WEIGHTLESS_STEPS
from controller.rollout.preview import Reach
from controller.rollout.sizing import Sizes, Sizing
from controller.rollout.step import Step
from controller.rollout.switch import Switch

KIND = "blueGreen"
EXAMPLE: dict[str, Any] = {
    "previewReplicas": 2,
    "preview": {"hostnames": ["preview.example.com"]},
    "steps": [{"approve": {}}],
    "keepOld": "10m",
}


@record("All of the work in one switch, and the old version is kept ready to take it back.")
class BlueGreen:
    switches: ClassVar[bool] = True
    fresh_baseline: ClassVar[bool] = False
    cookie: ClassVar[str] = ""

    preview_replicas: int | None = field(
        Integer(1, 10_000),
        "Pods of the new version until the switch, at most spec.replicas; then it gets all of them. "
        "Default: spec.replicas.",
        default=Absent(),
    )
    preview: Preview | None = field(
        Record(Preview),
        "By what the new version can be reached before the switch. While no new version is out, it leads to stable.",
        default=Absent(),
    )
    before: tuple[Step, ...] = field(
        WEIGHTLESS_STEPS,
        "What the new version has to pass before it has work, one kind per entry. The switch follows.",
        key="steps",
        default=[],
    )
    keep_old: float = field(
        Duration(),
        "How long the old version stays at full size after the switch. A regression in this time switches back. Then "
        "the new version is promoted.",
        default="10m",
    )

    @property
    def steps(self) -> tuple[Step, ...]:
        return *self.before, Switch(self.keep_old)

    @property
    def reach(self) -> Reach | None:
        if self.preview is None:
            return None
        header = self.preview.header
        return Reach(self.preview.hostnames or (), None if header is None else (header.name, header.value))

    def sizes(self, sizing: Sizing, replicas: int, weight: float) -> Sizes:
        del sizing
        before = replicas if self.preview_replicas is None else min(replicas, self.preview_replicas)
        return Sizes(stable=replicas, canary=replicas if weight > 0 else before)


Config = BlueGreen
