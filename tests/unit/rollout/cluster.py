"""What the simulated world is made of: pods that take their time, a router, Service NAME, metrics. No I/O."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace

import pytest

from controller.api.reasons import Reason
from controller.api.status import Status
from controller.kube.objects import Key
from controller.rollout.actions import (
    Action,
    AddFinalizer,
    Answer,
    EnsureRevision,
    Event,
    FinishAnalysis,
    KeepTemplate,
    LeaveRouter,
    PointService,
    RemoveFinalizer,
    Retire,
    Scale,
    SetOwners,
    SetPreview,
    SetWeights,
    TakeOver,
)
from controller.rollout.observation import MetricTrouble, PodTrouble, RevisionState
from controller.rollout.preview import Preview
from controller.rollout.sizing import Sizing
from controller.runtime.reachability import Reachability
from controller.stats.counts import Counts

START_S = 10
"""Seconds until a new pod is ready."""

HEALTHY, UNREADY, CRASHING, NO_ROOM, NO_IMAGE = "healthy", "unready", "CrashLoop", "NoCapacity", "ImagePull"
CANNOT_BE_MADE = "ContainerConfig"
ONE_READY = "one is ready, the others crash"
_KEY = Key("shop", "web")


@dataclass
class Behavior:
    """How the pods of one version behave, whether they run already or not."""

    pods: str = HEALTHY
    errors: float = 0.001
    """Share of its units that are bad."""


@dataclass
class Deployment:
    wanted: int
    deployment: bool = True
    service: bool = True
    started: list[float] = field(default_factory=list)
    """When each of its pods was made."""
    made_at: float = 0.0

    def scale(self, replicas: int, now: float) -> None:
        self.wanted = replicas
        self.started = (self.started + [now] * replicas)[:replicas]

    def state(self, behavior: Behavior, now: float) -> RevisionState:
        running = sum(now - start >= START_S for start in self.started)
        ready = running if behavior.pods == HEALTHY else min(running, 1) if behavior.pods == ONE_READY else 0
        trouble = None
        if ready < running and behavior.pods == ONE_READY:
            trouble = PodTrouble(Reason.CRASH_LOOP, f"pods say {behavior.pods}")
        if ready < self.wanted and behavior.pods in (CRASHING, NO_ROOM, NO_IMAGE, CANNOT_BE_MADE):
            trouble = PodTrouble(Reason(behavior.pods), f"pods say {behavior.pods}")
        return RevisionState(
            wanted=self.wanted,
            ready=ready,
            endpoints=ready if self.service else 0,
            complete=self.deployment and self.service,
            trouble=trouble,
            made_at=self.made_at,
        )


@dataclass
class Metrics:
    """A source that counts what the router sends; it can go dark."""

    per_look: int = 2000
    chosen: float = 5.0
    """Requests of people who choose the canary by a header, in percent of all others."""
    trouble: MetricTrouble | None = None
    advice: Counts | None = None
    """What metrics that only advise count in each look; None: the same as all others."""

    def go_dark(self, reason: str = "SourceOutage") -> None:
        self.trouble = MetricTrouble(Reason(reason), "the source does not answer")

    def come_back(self) -> None:
        self.trouble = None

    def of_copies(self, percent: float, canary: Behavior, stable: Behavior) -> Counts:
        """Stable has all requests, and the canary so many beside them."""
        return self.counts(percent, canary, stable, 100.0)

    def counts(self, share: float, canary: Behavior, stable: Behavior, rest: float | None = None) -> Counts:
        """`rest`: percent of what it is compared with; None: all that is left."""
        canary_units = round(self.per_look * share / 100)
        stable_units = self.per_look - canary_units if rest is None else round(self.per_look * rest / 100)
        return Counts(
            round(canary_units * canary.errors), canary_units, round(stable_units * stable.errors), stable_units
        )


class Cluster:
    """Carries out actions. Every broken rule of order is found at the action that breaks it."""

    def __init__(self, sizing: Sizing) -> None:
        self.sizing = sizing
        self.now = 1_700_000_000.0
        self.reachability = Reachability(lambda: self.now, network_s=0.0)
        self.behaviors: dict[str, Behavior] = {}
        self.deployments: dict[str, Deployment] = {}
        self.templates: dict[str, None] = {}
        """Revisions of which there is a ControllerRevision, the oldest first."""
        self.route: dict[str, float] | None = None
        self.written: dict[str, float] | None = None
        """The route as we wrote it last."""
        self.on_trial = ""
        """The revision that a queue's ledger has on trial."""
        self.service: str | None = None
        """Service NAME: the revision it selects, '' for all."""
        self.preview: Preview | None = None
        self.retired = 0
        self.finalizer = False
        self.gone = False
        self.runs: dict[str, str] = {}
        self.answers: dict[str, Answer] = {}
        self.events: list[Event] = []

    def behavior(self, revision: str) -> Behavior:
        return self.behaviors.setdefault(revision, Behavior())

    def serving(self) -> dict[str, object]:
        states = self.states().items()
        return {
            revision: (state.serving, state.trouble) for revision, state in states if state.serving or state.trouble
        } | {"retired": self.retired}

    def states(self) -> dict[str, RevisionState]:
        found = {name: one.state(self.behavior(name), self.now) for name, one in self.deployments.items()}
        unreached = self.reachability.awaited(_KEY, [name for name, state in found.items() if state.endpoints])
        if self.sizing is not Sizing.BY_WEIGHT:
            return found
        return {name: replace(state, unreached_s=unreached.get(name, 0.0)) for name, state in found.items()}

    def weights(self) -> dict[str, float] | None:
        """As the router's `observe` reads them: by pods it is Service NAME's selector and the Deployments."""
        if self.sizing.written:
            return copy.copy(self.route)
        if self.service is None:
            return None
        if self.service:
            return {self.service: 100.0}
        pods = {name: one.wanted for name, one in self.deployments.items() if one.wanted}
        return {name: count * 100 / sum(pods.values()) for name, count in pods.items()}

    def share_of(self, revision: str) -> float:
        """Percent of the work that really goes there, whoever serves it."""
        if self.sizing is Sizing.BY_PODS and self.service == "":
            serving = {name: state.serving for name, state in self.states().items()}
            total = sum(serving.values())
            return 100 * serving.get(revision, 0) / total if total else 0.0
        return (self.weights() or {}).get(revision, 0.0)

    def carry_out(self, action: Action, run: str) -> None:
        match action:
            case AddFinalizer() | RemoveFinalizer():
                self.finalizer = isinstance(action, AddFinalizer)
            case EnsureRevision():
                self._make(action)
            case KeepTemplate(revision):
                self.templates.setdefault(revision)
            case Scale(revision, replicas):
                self.deployments[revision].scale(replicas, self.now)
            case Retire(revision):
                assert not (self.weights() or {}).get(revision), f"{revision} is retired while it has work"
                assert self.service != revision, f"{revision} is retired while Service NAME selects it"
                assert self.preview is None or self.preview.revision != revision, f"the preview leads to {revision}"
                del self.deployments[revision]
                self.retired += 1
            case SetWeights(shares, on_trial=on_trial):
                self._set_weights(dict(shares))
                self.on_trial = on_trial
            case SetPreview() | PointService():
                self._lead(action)
            case FinishAnalysis(verdict):
                self.runs[run] = verdict
            case TakeOver() | LeaveRouter() | SetOwners():
                raise AssertionError("there is one router here, and no owner")
            case Answer(name):
                assert name not in self.answers, f"{name} is answered twice"
                self.answers[name] = action
            case Event():
                self.events.append(action)

    def _lead(self, action: SetPreview | PointService) -> None:
        match action:
            case SetPreview(preview):
                assert preview is None or preview.revision in self.deployments, "the preview leads to nobody"
                self.preview = preview
            case PointService(revision):
                assert revision in self.deployments, f"Service NAME would select nothing of {revision}"
                self.service = revision

    def _make(self, action: EnsureRevision) -> None:
        revision = action.revision
        if revision not in self.deployments or not self.deployments[revision].deployment:
            self.deployments[revision] = Deployment(0, made_at=self.now)
            self.deployments[revision].scale(action.replicas, self.now)
        self.deployments[revision].service = True
        if not action.of:
            self.templates.setdefault(revision)

    def _set_weights(self, shares: dict[str, float]) -> None:
        assert sum(shares.values()) == pytest.approx(100, abs=1e-9), f"{shares} do not sum to 100"
        assert set(shares) <= set(self.deployments), f"{shares} name what does not run"
        if self.sizing.written:
            self.route, self.written = shares, dict(shares)
        else:
            assert self.service is not None, "the router by pods needs Service NAME first"
            served = [revision for revision, share in shares.items() if share > 0]
            self.service = served[0] if len(served) == 1 else ""


def words(action: Action) -> str:
    """`weights v1:95,v2:5`"""
    if isinstance(action, Answer):
        return f"answer {action.name}"
    if isinstance(action, AddFinalizer):
        return "finalizer on"
    if isinstance(action, SetPreview):
        return f"preview {action.preview.revision if action.preview else 'off'}"
    values = [value for name, value in vars(action).items() if name not in ("message", "hard_stop")]
    values = [value for value in values if value != ""]
    values += ["hard"] if getattr(action, "hard_stop", False) else []
    words = [
        ",".join(f"{k}:{v:g}" for k, v in value.items()) if isinstance(value, dict) else str(value) for value in values
    ]
    names = {
        "RemoveFinalizer": "finalizer off",
        "EnsureRevision": "make",
        "KeepTemplate": "keep",
        "Scale": "scale",
        "Retire": "retire",
        "SetWeights": "weights",
        "PointService": "service",
        "FinishAnalysis": "close",
    }
    return " ".join([names[type(action).__name__], *words])


@dataclass
class Traffic:
    """Percent of the work, as it is really routed."""

    cluster: Cluster
    release: Status

    @property
    def canary(self) -> float:
        return self.cluster.share_of(self.release.canary) if self.release.canary else 0.0

    @property
    def stable(self) -> float:
        return self.cluster.share_of(self.release.stable) if self.release.stable else 0.0

    def of(self, revision: str) -> float:
        return self.cluster.share_of(revision)
