"""What should be: said by guards and strategies, and nothing of how to get there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.api.phase import Phase
from controller.rollout.preview import Preview


@dataclass(frozen=True)
class Summary:
    """Where the release stands, for people."""

    phase: Phase
    reason: str
    message: str


@dataclass(frozen=True)
class Pods:
    """At least so many pods of a revision; exactly so many where `shrink` is set."""

    replicas: int
    shrink: bool = False


@dataclass(frozen=True)
class Desired:
    summary: Summary
    weight: float | None = None
    """Percent of the work for the canary; None leaves the router, and the finalizer, as they are."""
    baseline: float = 0.0
    """Percent of the work for the canary's baseline."""
    pods: Mapping[str, Pods] = field(default_factory=dict)
    """By revision; a revision that is not named keeps its size."""
    service: str = ""
    """The revision for callers that pass no router; empty leaves Service NAME as it is."""
    taken_over: str = ""
    """The revision that the router which the spec asks for is given, before it has the traffic."""
    kept: frozenset[str] | None = None
    """Revisions that keep their objects. The others go once they have drained; None: all stay."""
    unused: frozenset[str] = frozenset()
    """Revisions that never had work, and go at once."""
    preview: Preview | None = None
    """The version that some requests reach whatever the weight, and which requests; None: there are none."""
    named: str = ""
    """The revision that a queue is given to before its pods serve: they take nothing until they are named."""
    unfinished: Summary | None = None
    """The summary as long as something of this is still to be done: work to be given, a revision to go."""
    hands_off: bool = False
    """The route is not Pointsman's to judge now: another writer of it is not complained about."""
    gives_back: bool = False
    """What was adopted becomes what it was before, and nothing of ours stays."""
    finalize: bool = False
    """The Release is being deleted: the finalizer goes."""
