"""The words between the walker and its steps.

A step sees a `StepView`, and answers whether to wait, to go on, or to fail. It is a value: what it has to remember
stands in the Release's status.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from controller.api.choice import Module
from controller.api.effect import Effect
from controller.api.phase import Phase
from controller.api.reasons import Reason
from controller.rollout.effect import Result
from controller.stats.evidence import NO_EVIDENCE, Evidence

ROUNDING_S = 0.01
"""Of moments in the status, and of looks."""


@dataclass(frozen=True)
class StepView:
    elapsed: float
    """Seconds on this step's clock, which stands still during an outage of the metrics."""
    canary_units: int
    """Units of the canary that were judged since the step began."""
    min_units: int
    on_timeout: str
    suspicion: str | None
    """A metric whose boundary was crossed with too few bad units for a rollback; the sentence about it."""
    evidence: str
    approved_by: str | None
    judged: Evidence = NO_EVIDENCE
    """Of the attempt that is under way."""
    effects: Mapping[str, Result] = field(default_factory=dict)
    """What is known of the effects that a step wanted, by their ids."""
    stable: str = ""
    canary: str = ""
    """Revisions."""
    attempt: int = 0
    """The number of the attempt: with the canary and the step it makes an effect's id unique."""
    step: int = 0
    """Index of this step."""
    weight: float = 0.0
    """Percent in force at this step."""
    stable_pods: tuple[int, int] = (0, 0)
    """Of stable: how many serve, and how many it should have."""
    canary_pods: tuple[int, int] = (0, 0)
    compares: bool = True
    """A metric can convict the canary."""
    unlooked: float = 0.0
    """Seconds until now of which no look has come yet; 0 where nothing is measured."""


@dataclass(frozen=True)
class Wait:
    reason: str
    message: str
    again_in: float | None = None
    """Seconds after which waiting may be over by the clock alone."""
    phase: Phase = Phase.PROGRESSING
    """PAUSED waits for a person, WAITING for something that need not come, BAKING is a step's own name for itself."""
    approvable: bool = False
    """An approval ends the waiting."""
    effects: tuple[Effect, ...] = ()
    """What is to be owed to the outside for as long as this is waited for."""


@dataclass(frozen=True)
class Done:
    message: str = ""
    """What was found; empty where there is nothing to say but that the step is over."""
    unproven: bool = False


@dataclass(frozen=True)
class Fail:
    reason: str
    message: str


Outcome = Wait | Done | Fail


def over(view: StepView, seconds: float, said: str, *, phase: Phase = Phase.PROGRESSING) -> Outcome:
    """The end of `seconds` in which the canary was watched, once the looks at all of them have come. With a suspicion
    it is promoted only if a person says so.

    `said`: what there is to say without one. `phase`: that of the time itself.
    """
    if view.elapsed - seconds < view.unlooked - ROUNDING_S:
        return Wait(Reason.ANALYZING, f"waiting for the last looks ({said})", phase=phase)
    if view.suspicion is None:
        return Done(said)
    if view.approved_by is not None:
        return Done(f"approved by {view.approved_by}, though {view.suspicion}", unproven=True)
    return Wait(Reason.SUSPICIOUS, f"not promoted: {view.suspicion}", phase=Phase.WAITING, approvable=True)


class Step(Protocol):
    @property
    def weight(self) -> float | None:
        """Percent of the work the canary gets from this step on; None leaves it as it is."""
        ...

    @property
    def analyzes(self) -> bool: ...

    def advance(self, view: StepView) -> Outcome:
        """Called while the weight is in force. Pure."""
        ...


class StepModule(Module, Protocol):
    """A module of `rollout/steps/`."""

    @property
    def EXAMPLE(self) -> Mapping[str, Any]:
        """An entry."""
        ...

    @property
    def Config(self) -> type[Step]:
        """A `record` of the fields below its word; or of the whole entry, if its word is one of them."""
        ...
