"""A Release's `status`: all that is needed to go on after a crash, and what a person sees."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from controller.api.alerts import FiringAlert
from controller.api.effect import Owed
from controller.api.notice import Incident
from controller.api.notify import Notify
from controller.api.phase import Phase
from controller.api.reasons import Reason

KEPT = 20
"""ReleaseActions and rejections that are remembered."""
_WHOLE = 100.0
"""Percent."""
FORMAT = 2
"""Of the stored status. 1 had no `format`, and told by its `reason` what `Attempt` holds in fields now."""


@dataclass(frozen=True)
class GitWrite:
    """What a rollback wrote to the repository of the manifest."""

    commit: str = ""
    branch: str = ""
    """Of ours, with the commit, where the manifest's own did not take it."""
    pull_request: str = ""
    """Its url."""
    note: str = ""
    """What keeps it from being written, or is left to a person."""
    retried: bool = False
    """The version may come again since; this is about the commit that brings it back."""

    @property
    def sentence(self) -> str:
        what = "brings it again" if self.retried else "takes it back"
        if self.commit:
            return f"commit {self.commit[:12]} {what}"
        if self.pull_request:
            return f"pull request {self.pull_request} {what}; merge it"
        return self.note


@dataclass(frozen=True)
class Rejection:
    """A revision that was rolled back, and why."""

    revision: str
    reason: str
    message: str
    evidence: str
    at: float
    change: str = ""
    """What of its configuration was new."""
    git: GitWrite | None = None
    """None: nothing is known of it, or nothing is to be written."""


@dataclass(frozen=True)
class Unproven:
    """A step that was left without proof that the canary is no worse."""

    step: int
    message: str


@dataclass(frozen=True)
class RouteEdits:
    """When another writer's changes of the route were reverted, and who that was, where it is known."""

    at: tuple[float, ...] = ()
    by: str = ""


@dataclass(frozen=True)
class Blocked:
    """What keeps a pass from being finished. It stays until a pass is finished, so that the status does not flap."""

    reason: str
    message: str
    phase: Phase = Phase.WAITING
    revision: str = ""
    """Whose template the API server refuses, where it is that."""


@dataclass(frozen=True)
class ManualRollback:
    """A person leaves stable for an older version: which one, who and why, and since when."""

    to: str
    why: str
    since: float


@dataclass(frozen=True)
class LastSpec:
    """The version that the spec asked for when its configuration could last be read."""

    template: str
    """The name that it would have without configuration."""
    revision: str


@dataclass(frozen=True)
class Unversioned:
    """A version from before configuration was a part of versions: its pods read ConfigMaps as they are."""

    revision: str
    configuration: str = ""
    """Digest of what its ConfigMaps were when that was first looked at. With any other it is no longer asked for."""


@dataclass(frozen=True)
class Clock:
    """The moments of an attempt, in seconds since the epoch."""

    began: float
    first_step: float | None = None
    """When the first step began; None before. What was before it was not the canary's doing."""
    step_entered: float | None = None
    """When the step began; None while the canary has not had the pods for its first one."""
    step_started: float | None = None
    """Start of the step's clock, moved on by outages and pauses; None before the first work of a first version."""
    held_since: float | None = None
    """Since when the step's clock stands still."""
    unready_since: float | None = None
    """Since when the canary has not been steadily ready."""
    paused_since: float | None = None


@dataclass(frozen=True)
class Notified:
    """What people were notified of in this attempt, and when."""

    about: str
    at: float


@dataclass(frozen=True)
class Attempt:
    """A version on trial. All of it ends with the attempt."""

    canary: str
    clock: Clock
    strategy: str = ""
    """The word under spec.strategy that it began with; empty in a status from before there were two."""
    step: int = 0
    """Index of the step under way; the number of steps when all are done."""
    approved_by: str = ""
    """Who approved the step under way."""
    awaits_person: bool = False
    """An approval would end what is waited for."""
    start_blocked: bool = False
    """The version has had no chance to start: no room, no image, suspended. Its deadline begins when that is over."""
    paused_by: str = ""
    full_by: str = ""
    """Who ended the judging, and why: everything goes to the canary."""
    run: str = ""
    """Its AnalysisRun."""
    notified: tuple[Notified, ...] = ()
    alerts: tuple[FiringAlert, ...] = ()
    """Those that fire and decide something."""
    change: str = ""
    """What of its configuration is new, in words that name ConfigMaps and keys."""
    baseline: str = ""
    """The name of new pods of the stable version, which it is compared with; empty: it is compared with stable's."""
    baseline_weight: float = 0.0
    """Percent of the work that is meant for them."""
    copied: float = 0.0
    """Percent of the requests whose copies reach the canary and are judged."""
    chosen: bool = False
    """Requests that people choose, by a header, reach the canary, and are held to its limits."""
    switched: bool = False
    """All of the work was moved to it at once, also where it is back at stable now: looks are those of after it."""


@dataclass(frozen=True)
class Status:
    """Moments are seconds since the epoch. The empty text means: none."""

    phase: Phase = Phase.PENDING
    reason: str = Reason.NEW
    message: str = ""
    evidence: str = ""
    stable: str = ""
    attempt: Attempt | None = None
    attempts: int = 0
    """How many were begun; the number of the one under way."""
    steps: int = 0
    stopped_at: int = 0
    """The step at which the last attempt ended without a promotion."""
    weight: float = 0.0
    """Percent of the work that is meant for the canary; written before any router is told of more."""
    weight_pending: bool = False
    """The weight was not yet seen at the router; until then the router's own share is what is in force."""
    router: str = ""
    """The one that has the traffic: spec.traffic may ask for another one already."""
    previews: bool = False
    """The router may hold a preview: written before it is made, and until it is gone."""
    adopts: str = ""
    """The Deployment of spec.adopt, from the first version on until it is scaled down."""
    adopted: str = ""
    """The Deployment of spec.adopt, once it is scaled down."""
    deletion_policy: str = ""
    """Orphan once nothing that was made has an owner; empty while it would go with the Release."""
    router_beside: str = ""
    """Another one that may hold something of ours: it is taken into use, or left."""
    weight_since: float | None = None
    scaled_up: float | None = None
    drain_since: float | None = None
    failed_kept_until: float | None = None
    """Until then one pod of the version that was rejected last stays, for a look at it; None: none stays."""
    handled: tuple[str, ...] = ()
    """UIDs of ReleaseActions that took effect: an approval must not pass two steps."""
    unproven: tuple[Unproven, ...] = ()
    rejected: tuple[Rejection, ...] = ()
    last_rollback: Rejection | None = None
    judged: str = ""
    """How stable came to be: FirstDeployment, LimitsKept, NoMetrics, Proven, Unproven, or by a person."""
    previous: str = ""
    """The version that was stable before, to go back to."""
    going_back: ManualRollback | None = None
    retry_seen: str = ""
    """The last value of the retry annotation: it counts once for each time it is written."""
    recorded: str = ""
    """The stable version that is recorded in git as healthy."""
    restored: str = ""
    """In a cluster that was built anew: the version that the record names as healthy, while it is not stable yet."""
    queued: tuple[str, ...] = ()
    """Versions that wait until the canary is done; the spec's is the last of them."""
    route_edits: RouteEdits = RouteEdits()
    announced: tuple[str, ...] = ()
    """Conditions of which an event was sent, while they last: each is sent once."""
    incidents: tuple[Incident, ...] = ()
    alerted: tuple[Notify, ...] = ()
    """Targets of the incidents that hear of the end, whatever spec.notify says by then."""
    owed: tuple[Owed, ...] = ()
    """Effects that are still to be carried out, or asked for their results."""
    blocked: Blocked | None = None
    last_spec: LastSpec | None = None
    """None before a template was seen that names ConfigMaps."""
    unversioned: tuple[Unversioned, ...] = ()
    replicas: int = 0
    ready_replicas: int = 0
    selector: str = ""

    @property
    def canary(self) -> str:
        return "" if self.attempt is None else self.attempt.canary

    @property
    def baseline(self) -> str:
        return "" if self.attempt is None else self.attempt.baseline

    @property
    def baseline_weight(self) -> float:
        return 0.0 if self.attempt is None else self.attempt.baseline_weight

    @property
    def copied(self) -> float:
        return 0.0 if self.attempt is None else self.attempt.copied

    @property
    def chosen(self) -> bool:
        return self.attempt is not None and self.attempt.chosen

    @property
    def serves(self) -> str:
        """Who has most of the work, and by whose pods people are served."""
        left = _WHOLE - self.weight - self.baseline_weight
        return self.canary if self.weight > left or not self.stable else self.stable

    @property
    def share_the_work(self) -> tuple[str, ...]:
        """All who have a part of it. An autoscaler counts their pods: by those of one it would size for a part."""
        if not self.stable or self.weight >= _WHOLE:
            parts = {self.canary: _WHOLE}
        else:
            left = _WHOLE - self.weight - self.baseline_weight
            parts = {self.stable: left, self.canary: self.weight, self.baseline: self.baseline_weight}
        return tuple(revision for revision, part in parts.items() if revision and part > 0)

    @property
    def step(self) -> int:
        return self.stopped_at if self.attempt is None else self.attempt.step

    @property
    def run(self) -> str:
        return "" if self.attempt is None else self.attempt.run

    @property
    def paused_by(self) -> str:
        return "" if self.attempt is None else self.attempt.paused_by

    @property
    def full_by(self) -> str:
        return "" if self.attempt is None else self.attempt.full_by

    @property
    def on_trial(self) -> bool:
        """An attempt whose clock runs: also a first version, which has no stable beside it."""
        return self.attempt is not None and self.attempt.clock.step_started is not None

    @property
    def step_since(self) -> float:
        """The step's looks are those that began then or later."""
        clock = None if self.attempt is None else self.attempt.clock
        moments = () if clock is None else (clock.step_entered, clock.step_started)
        return min((moment for moment in moments if moment is not None), default=0.0)

    def changed(self, **changes: Any) -> Status:
        """What `dataclasses.replace` does, without reading and setting each of thirty fields: it is asked often."""
        unknown = changes.keys() - vars(self).keys()
        if unknown:
            raise TypeError(f"a Status has no {', '.join(sorted(unknown))}")
        status = object.__new__(Status)
        vars(status).update(vars(self), **changes)
        return status

    def judged_by(self, run: str) -> Status:
        """With the name of the AnalysisRun of the attempt under way."""
        if self.attempt is None or self.attempt.run == run:
            return self
        return self.changed(attempt=replace(self.attempt, run=run))

    def blocked_by(self, blocked: Blocked | None) -> Status:
        """As people see it while a pass cannot be finished."""
        if blocked is None:
            return self if self.blocked is None else self.changed(blocked=None)
        return self.changed(blocked=blocked, phase=blocked.phase, reason=blocked.reason, message=blocked.message)

    @property
    def at_work(self) -> tuple[str, ...]:
        """The revisions that have work, or may get it."""
        back = () if self.going_back is None else (self.going_back.to,)
        return tuple(one for one in (self.stable, self.canary, *back) if one)

    @property
    def named(self) -> frozenset[str]:
        """Every revision that the status names."""
        rejected = (rejection.revision for rejection in self.rejected)
        return frozenset({*self.at_work, self.previous, self.restored, *self.queued, *rejected} - {""})

    def is_rejected(self, revision: str) -> bool:
        return any(rejection.revision == revision for rejection in self.rejected)
