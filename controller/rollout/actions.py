"""What can be done. Each is idempotent: carried out twice, or again after a crash, it ends the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from controller.rollout.preview import Preview


@dataclass(frozen=True)
class AddFinalizer:
    pass


@dataclass(frozen=True)
class RemoveFinalizer:
    pass


@dataclass(frozen=True)
class EnsureRevision:
    """Deployment, Service and ControllerRevision of a revision; those that are there are left as they are."""

    revision: str
    replicas: int
    of: str = ""
    """The revision of which it is more pods, under a name of their own, and without a ControllerRevision."""


@dataclass(frozen=True)
class KeepTemplate:
    """Keeps what the spec says now, in a ControllerRevision: this revision comes out later."""

    revision: str


@dataclass(frozen=True)
class Scale:
    revision: str
    replicas: int


@dataclass(frozen=True)
class Retire:
    """Takes away a revision's Deployment and Service; its ControllerRevision stays."""

    revision: str


@dataclass(frozen=True)
class SetWeights:
    """Percent per revision, summing to 100."""

    shares: Mapping[str, float]
    hard_stop: bool = False
    """What a revision without a share has already taken is stopped too."""
    on_trial: str = ""
    """The revision that has all of the work, where it may lose it again."""


@dataclass(frozen=True)
class SetPreview:
    """Besides the weights, requests that ask for it reach this version; None: none do."""

    preview: Preview | None


@dataclass(frozen=True)
class TakeOver:
    """The router that the spec asks for sends everything to this revision, beside the one that has the traffic."""

    revision: str


@dataclass(frozen=True)
class LeaveRouter:
    """The router that had the traffic before sends it to this revision, and keeps nothing of ours."""

    revision: str


@dataclass(frozen=True)
class SetOwners:
    """What was made for the Release goes with it, or stays, as spec.deletionPolicy says now."""


@dataclass(frozen=True)
class PutBack:
    """Deployment and Service of a revision become what they were when they were made."""

    revision: str
    of: str = ""
    """As in `EnsureRevision`."""


@dataclass(frozen=True)
class PointService:
    """Service NAME, for callers that pass no router, selects this revision."""

    revision: str


@dataclass(frozen=True)
class TakeAutoscalers:
    """Autoscalers of the adopted Deployment scale the Release, from the size that the Deployment has now."""


@dataclass(frozen=True)
class RestAdopted:
    """The adopted Deployment is scaled to 0, and remembers its size."""


@dataclass(frozen=True)
class GiveBack:
    """What was adopted becomes what it was before."""


@dataclass(frozen=True)
class ReturnRoute:
    """A route that somebody else keeps leads to Service NAME, as it did before."""


PROMOTED = "promoted"
"""The verdict on an attempt whose version is stable now."""


@dataclass(frozen=True)
class FinishAnalysis:
    """Writes the verdict into the attempt's AnalysisRun."""

    verdict: str
    message: str


@dataclass(frozen=True)
class Answer:
    """Writes what became of a ReleaseAction into its status."""

    name: str
    accepted: bool
    message: str


@dataclass(frozen=True)
class Event:
    """An event on the Release."""

    reason: str
    message: str
    warning: bool = False


Action = (
    AddFinalizer
    | RemoveFinalizer
    | EnsureRevision
    | KeepTemplate
    | Scale
    | Retire
    | SetWeights
    | SetPreview
    | TakeOver
    | SetOwners
    | LeaveRouter
    | PutBack
    | PointService
    | TakeAutoscalers
    | RestAdopted
    | GiveBack
    | ReturnRoute
    | FinishAnalysis
    | Answer
    | Event
)
