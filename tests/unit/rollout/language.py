"""Words for the tests of the core: a release as a sentence.

world.given(release(steps=[weight(5, analyze("1m", "10m")), approve()]).on("v2", at_step=1))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from controller.api.analysis import Advanced, Analysis, Margin, Metric
from controller.api.reach import Preview
from controller.api.reading import parse_duration
from controller.api.release import Choice, Drain, ReleaseSpec
from controller.api.strategy import Scale
from controller.rollout.analyze import Analyze
from controller.rollout.sizing import Sizing
from controller.rollout.steps.approve import Approve
from controller.rollout.steps.pause import Pause
from controller.rollout.steps.weight import Weight
from controller.rollout.strategies.blue_green import BlueGreen
from controller.rollout.strategies.canary import Canary

BY_WEIGHT, BY_PODS, BY_CLAIMS = Sizing.BY_WEIGHT, Sizing.BY_PODS, Sizing.BY_CLAIMS


def analyze(at_least: str, at_most: str) -> Analyze:
    return Analyze(at_least=seconds(at_least), at_most=seconds(at_most))


def weight(percent: float, watch: Analyze | None = None) -> Weight:
    return Weight(percent, watch)


def pause(duration: str) -> Pause:
    return Pause(seconds(duration))


def approve() -> Approve:
    return Approve()


def seconds(text: str) -> float:
    return parse_duration(text, "test")


@dataclass(frozen=True)
class Given:
    """Where a test begins: what the spec says, which version serves, and how far the next one is."""

    spec: ReleaseSpec
    sizing: Sizing
    serving: str = "v1"
    coming: str = ""
    step: int = 0

    def first(self) -> Given:
        """Nothing runs yet; `v1` is asked for."""
        return replace(self, serving="")

    def on(self, revision: str, *, at_step: int = 0) -> Given:
        """`revision` is on its way, with the weight of `at_step` in force."""
        return replace(self, coming=revision, step=at_step)


def release(
    steps: list[Any] | None = None,
    *,
    replicas: int = 4,
    by: Sizing = BY_WEIGHT,
    scale: Scale | None = None,
    metrics: tuple[str, ...] = ("errors",),
    on_timeout: str = "proceed",
    deadline: str = "10m",
    alpha: float = 0.01,
    min_units: int = 50,
    promote_below: float | None = None,
    limits: Mapping[str, float] | None = None,
    advising: tuple[Metric, ...] = (),
    on_new_version: str = "restart",
    baseline: str = "stable",
) -> Given:
    if steps is None:
        steps = [weight(5, analyze("30s", "1m")), weight(50, analyze("30s", "1m"))]
    return Given(
        spec=ReleaseSpec(
            replicas=replicas,
            template={"spec": {"containers": [{"name": "main"}]}},
            progress_deadline=seconds(deadline),
            revision_history_limit=5,
            suspend=False,
            ports=({"port": 80},),
            traffic=Choice("replicas" if by is BY_PODS else "gatewayAPI", None),
            strategy=Canary(scale or Scale(), baseline),
            strategy_kind="canary",
            steps=tuple(steps),
            analysis=Analysis(
                interval=5.0,
                alpha=alpha,
                on_timeout=on_timeout,
                metrics=(
                    *(Metric(name, "http", {}, Margin(1.1, promote_below), "spec") for name in metrics),
                    *(Metric(name, "http", {}, None, "spec", most) for name, most in (limits or {}).items()),
                    *advising,
                ),
                advanced=Advanced(settle=3.0, warm_up=30.0, min_bad_units=5, min_units=min_units),
            ),
            drain=Drain(quiet=30.0, max=300.0),
            owned=True,
            on_new_version=on_new_version,
        ),
        sizing=by,
    )


PREVIEWED = Preview(hostnames=("preview.example.com",))


def blue_green(
    *before: Any, preview: int | None = None, keep: float = 600.0, at: Preview | None = None, **given: Any
) -> Given:
    """`preview`: pods of it; `at`: where it can be got at."""
    strategy = BlueGreen(preview_replicas=preview, preview=at, before=before, keep_old=keep)
    found = release(list(strategy.steps), **given)
    return replace(found, spec=replace(found.spec, strategy=strategy, strategy_kind="blueGreen"))
