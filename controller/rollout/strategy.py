"""The word between the walker and its strategies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from controller.api.choice import Module
from controller.api.reasons import Reason
from controller.rollout.preview import Reach
from controller.rollout.sizing import Sizes, Sizing
from controller.rollout.step import Step


@dataclass(frozen=True)
class Words:
    """What a strategy's people call the version that comes out: a canary is one that has a part of the work."""

    label: str
    """In a table."""
    trial: str
    """In a sentence, after "the"."""
    starting: Reason
    unready: Reason


_OF_A_CANARY = Words("canary", "canary", Reason.CANARY_STARTING, Reason.CANARY_UNREADY)
_OF_A_SWITCH = Words("new", "new version", Reason.NEW_VERSION_STARTING, Reason.NEW_VERSION_UNREADY)


class Strategy(Protocol):
    """What a strategy says beside its steps, which stand in `ReleaseSpec.steps`."""

    @property
    def switches(self) -> bool:
        """All of the work moves at once, callers of Service NAME included: there is nothing beside it to compare with,
        only what was before.
        """
        ...

    @property
    def fresh_baseline(self) -> bool:
        """The canary is compared with as many new pods of the stable version, and not with those that have run."""
        ...

    @property
    def cookie(self) -> str:
        """The name of the cookie by which a router keeps each client with one version; empty: it does not."""
        ...

    @property
    def reach(self) -> Reach | None:
        """What lets some requests at the new version whatever the weight. At rest it leads to stable."""
        ...

    def sizes(self, sizing: Sizing, replicas: int, weight: float) -> Sizes:
        """Pods for a canary that gets `weight` percent of the work, and for stable meanwhile."""
        ...


class CompiledStrategy(Strategy, Protocol):
    """What a manifest's words are read into."""

    @property
    def steps(self) -> Sequence[Step]: ...


class StrategyModule(Module, Protocol):
    """A module of `rollout/strategies/`."""

    @property
    def Config(self) -> type[CompiledStrategy]:
        """A `record` of its fields."""
        ...


def words_of(*, switches: bool) -> Words:
    """Where all of the work moves at once there is no canary."""
    return _OF_A_SWITCH if switches else _OF_A_CANARY
