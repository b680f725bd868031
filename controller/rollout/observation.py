"""The world as `decide` sees it: read afresh for every decision, and nothing else counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.api.alerts import FiringAlert
from controller.api.reasons import Reason
from controller.api.release import ReleaseSpec
from controller.api.status import LastSpec, Status, Unversioned
from controller.rollout.effect import Result
from controller.rollout.preview import Preview
from controller.rollout.sizing import Sizing
from controller.stats.all_bad import Disaster
from controller.stats.evidence import NO_EVIDENCE, Evidence


@dataclass(frozen=True)
class PodTrouble:
    """Why pods are not ready, where they say so."""

    reason: Reason
    """CRASH_LOOP, CONTAINER_CONFIG, IMAGE_PULL or NO_CAPACITY."""
    message: str

    @property
    def is_the_versions_fault(self) -> bool:
        """No room, or an image that cannot be pulled, says nothing about the version."""
        return self.reason in (Reason.CRASH_LOOP, Reason.CONTAINER_CONFIG)

    @property
    def ends_the_trial(self) -> bool:
        """At once. A Secret that its template names may still come, until the deadline."""
        return self.reason is Reason.CRASH_LOOP


@dataclass(frozen=True)
class RevisionState:
    """What runs of one revision."""

    wanted: int
    ready: int
    """Pods of this revision's Deployment that are ready."""
    endpoints: int
    """Addresses that its Service would send to."""
    complete: bool = True
    """Deployment and Service are both there."""
    trouble: PodTrouble | None = None
    edited: str = ""
    """Kind and name of what somebody has changed by hand, or whose pods are still those of such a change."""
    as_made: bool = True
    """Its Deployment and Service are known to be as they were made."""
    made_at: float = 0.0
    """When its Deployment was made, in epoch seconds."""
    unreached_s: float = 0.0
    """Seconds until its first ready pod counts as reached from everywhere. None of its pods serves before."""

    @property
    def up(self) -> int:
        """Ready pods with an address, known to the network or not: no version is blamed for the network's delay."""
        return min(self.ready, self.endpoints)

    @property
    def serving(self) -> int:
        return 0 if self.unreached_s > 0 else self.up

    @property
    def exists(self) -> bool:
        """Its Deployment is there, with or without its Service."""
        return self.complete or self.wanted > 0


@dataclass(frozen=True)
class Request:
    """A ReleaseAction that has no answer yet."""

    uid: str
    name: str
    action: str
    revision: str
    by: str
    reason: str
    to: str = ""
    """Where a rollback goes; the version that was stable before when it is not said."""
    hard: bool = False
    """An abort also stops what the canary has already taken."""

    @property
    def whose(self) -> str:
        """Who asks, and why, as it is kept in the status."""
        return f"{self.by}: {self.reason}"[:1024] if self.reason else self.by


@dataclass(frozen=True)
class LastRun:
    """Whom the youngest AnalysisRun compares."""

    stable: str
    canary: str
    promoted: bool
    """It ended so. While it goes on, and where it ended otherwise, its canary is not trusted."""


@dataclass(frozen=True)
class MetricTrouble:
    """Why looks cannot be made: nothing is concluded from it, neither way."""

    reason: Reason
    """SOURCE_OUTAGE, METRIC_BROKEN, METRIC_INVALID, METRICS_MISSING, LOOK_LEFT_OUT, WORK_MISSING or COMMON_CAUSE."""
    message: str


@dataclass(frozen=True)
class ConfigTrouble:
    """Why the configuration that the spec names cannot be read, or kept."""

    reason: Reason
    """CONFIG_MISSING or CONFIG_TOO_LARGE."""
    message: str
    stands_in: bool
    """What the spec asks for is known all the same: it is as it was before this trouble."""


def common_cause(evidence: Evidence, trial: str) -> MetricTrouble | None:
    """What breaks stable too is not the new version's doing: it is waited for, as for an outage.

    `trial`: what that version is called.
    """
    metric = evidence.common_cause
    if metric is None or metric.limit is None:
        return None
    above = f"{metric.name}: {metric.reference} is above the limit of {metric.limit:.2%} as well"
    sentence = f"{above}, so the {trial} is not blamed"
    return MetricTrouble(Reason.COMMON_CAUSE, sentence)


STRANGE = "?"
"""In place of a revision: a selector that somebody has edited."""


@dataclass(frozen=True)
class Observation:
    spec: ReleaseSpec
    sizing: Sizing
    spec_revision: str
    """Revision of the template in the spec."""
    status: Status
    config_trouble: ConfigTrouble | None = None
    config_change: str = ""
    """What of the spec's configuration differs from stable's, in words. Read where that is about to come out."""
    last_spec: LastSpec | None = None
    """To be remembered; None: nothing new."""
    unversioned: tuple[Unversioned, ...] | None = None
    """Likewise."""
    deleting: bool = False
    finalizer: bool = False
    revisions: Mapping[str, RevisionState] = field(default_factory=dict)
    weights: Mapping[str, float] | None = None
    """Percent per revision as the router has them; None while there is no route."""
    owned: bool = True
    """Children carry an owner reference (`deletionPolicy: Delete`)."""
    owners_differ: bool = False
    """What was made for the Release has other owners than spec.deletionPolicy says."""
    spec_router: str = ""
    """The router of the spec. `weights` are those of the one that has the traffic, by the status."""
    preview: Preview | None = None
    """As the router has it."""
    preview_refused: str = ""
    """Why it cannot be reached, in a sentence, where the router says so."""
    unsupported: str = ""
    """Which step the router cannot do in this cluster, and why, in a sentence with the field's path."""
    route_refused: str = ""
    """Why the weights have no effect, in a sentence, where the router says so."""
    route_unanswered: str = ""
    """Who has not said yet whether they have, in a sentence."""
    route_written_at: float = 0.0
    route_held: bool | None = None
    """Whether a route that somebody else keeps is split, and to be given back; None where the router has its own."""
    route_held_beside: bool = False
    """The same of the other router, while two are involved."""
    weights_beside: Mapping[str, float] | None = None
    """Percent per revision as the other router has them, while two are involved."""
    trouble_beside: str = ""
    """Why the other router cannot be read, in a sentence."""
    not_accepted_beside: str = ""
    """Why the other router cannot be given the traffic yet, in a sentence."""
    left_beside: bool = False
    """This process has made the other router keep nothing of ours."""
    unused_credits_s: float = 0.0
    """For how long the canary has left work lie that was meant for it alone."""
    marked_on_trial: str | None = None
    """The revision that the router has on trial; None where it keeps no such mark."""
    route_by: str = ""
    """Who wrote the route last beside us, as the API server knows them."""
    taken: str = ""
    """Kind and name of an object of another owner where Service NAME has to be."""
    adoption: Adoption | None = None
    """What spec.adopt takes over, until all of it is done."""
    service: str | None = None
    """Revision that Service NAME selects, '' for all of them; None while there is no such Service."""
    router_took_weights: bool = False
    """This process has written the router's weights last, and they were taken."""
    analysis_pending: bool = False
    """Nothing was measured yet in this attempt, or since this process began."""
    evidence: Evidence = NO_EVIDENCE
    step_units: int = 0
    """Canary units in looks since the step began."""
    notify_problem: str = ""
    """Why it is not known whom the namespace notifies by default, in a sentence."""
    looked_until: float | None = None
    """Where the last look ended, in seconds since the epoch; None while nothing is measured."""
    metric_trouble: MetricTrouble | None = None
    disaster: Disaster | None = None
    """From provisional counts, which are in no look."""
    share_lag: str = ""
    """That the share that is seen is not the one that was written, in a sentence."""
    lacks_before: bool = False
    """Before a switch: there is too little of stable's looks to compare the new version with."""
    late: str = ""
    """What came too late for its look, and the look that was left out, in sentences."""
    cold_start: str = ""
    """With a fresh baseline: that new pods of stable are worse than those that run, in a sentence."""
    unmeasured: str = ""
    """Which metrics that only advise cannot be measured now, and why, in sentences."""
    alerts: tuple[FiringAlert, ...] = ()
    """Those that fire and that a gate of the spec matches, the oldest first."""
    old_is_quiet: bool | None = None
    """Whether a version that drains got no work for `drain.quiet`; None where nothing counts it."""
    effects: Mapping[str, Result] = field(default_factory=dict)
    """What the outbox knows of the effects that are owed, by their ids, at the moment of the pass."""
    manual: str | None = None
    """Annotation pointsman.dev/manual, as it is written, shortened."""
    manual_until: float | None = None
    """Until then a person has the route in hand; None without the annotation, or where it says no time."""
    requests: tuple[Request, ...] = ()
    retry: str = ""
    """The revision that annotation pointsman.dev/retry names."""
    commit: str = ""
    """Annotation pointsman.dev/commit: the commit that the manifest came with."""
    last_run: LastRun | None = None
    """Only read where the status names no version."""
    without_record: bool = False
    """Annotation pointsman.dev/without-record: a first deployment does not wait for the record in git."""
    kept: tuple[str, ...] = ()
    """Revisions that can be made again, the youngest first. Only read when somebody wants to go back."""

    @property
    def target(self) -> str:
        """The revision that is to come out now, by spec.onNewVersion where another one is under way.

        `restart`: the one that is asked for, at once. `finish`: the one under way goes on to its end, and then the
        newest comes; what was asked for in between is skipped. `queue`: each that was asked for, in its order. The
        stable version, and a rejected one, are obeyed at once in every mode.
        """
        spec_revision, status, mode = self.spec_revision, self.status, self.spec.on_new_version
        if status.restored and not status.stable and not self.without_record:
            return status.restored
        if mode == "restart" or not status.stable or not self.can_come(spec_revision):
            return spec_revision
        # what the API server has refused has no end to wait for
        refused = status.blocked is not None and status.blocked.revision == status.canary
        if status.canary and not (refused and not self.state(status.canary).complete):
            return status.canary
        if mode == "queue":
            return next((one for one in status.queued if self.can_come(one) and one != status.canary), spec_revision)
        return spec_revision

    @property
    def awaited_until(self) -> float | None:
        """As `looked_until`; None where nothing that is measured decides, so that nobody waits for its looks."""
        return self.looked_until if self.evidence.judging else None

    @property
    def cannot_be_made(self) -> ConfigTrouble | None:
        """Why there is no version of the spec, where that would come out now."""
        trouble = self.config_trouble
        unknown = trouble is not None and not trouble.stands_in and self.target == self.spec_revision
        return trouble if unknown else None

    @property
    def given_is_unknown(self) -> bool:
        """The status means a weight that the router may never have had: after a crash, or a write that failed."""
        return self.status.weight_pending and not self.router_took_weights

    def can_come(self, revision: str) -> bool:
        """It is neither stable nor rejected."""
        return revision != self.status.stable and not self.status.is_rejected(revision)

    def state(self, revision: str) -> RevisionState:
        return self.revisions.get(revision, NOTHING_RUNS)


@dataclass(frozen=True)
class Adoption:
    """What runs already, as it was read."""

    refused: str = ""
    """Why it cannot be taken over, in a sentence."""
    replicas: int = 0
    """Pods that the Deployment is to have now."""
    autoscaled: bool = False
    """An autoscaler scales it."""
    holds: bool = False
    """Something of it is taken over, and not given back."""


NOTHING_RUNS = RevisionState(wanted=0, ready=0, endpoints=0, complete=False)
