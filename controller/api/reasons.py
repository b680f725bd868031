"""Why a Release stands where it stands: one word each, with what it means and what a person does about it.

The words are for people and dashboards. Nothing decides by them: what a decision needs is typed, in `Status`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum


class Kind(Enum):
    """What a reason asks of a person."""

    MOVING = "moving"
    """Nothing: Pointsman goes on by itself."""
    WAITING = "waiting"
    """Something outside has to come: data, room, traffic."""
    PERSON = "person"
    """A person has to decide."""
    REJECTED = "rejected"
    """The version was rolled back."""
    BROKEN = "broken"
    """The manifest, or an object that it needs, has to be changed."""
    DONE = "done"


class Reason(StrEnum):
    """The words that `status.reason` and the conditions carry."""

    NEW = "New"
    STARTING = "Starting"
    FIRST_DEPLOYMENT = "FirstDeployment"
    READING_RECORD = "ReadingRecord"
    RECORD_UNREADABLE = "RecordUnreadable"
    STATUS_LOST = "StatusLost"
    STABLE_LOST = "StableLost"
    CANARY_STARTING = "CanaryStarting"
    NEW_VERSION_STARTING = "NewVersionStarting"
    NEXT_STEP = "NextStep"
    STEPS_DONE = "StepsDone"
    ANALYZING = "Analyzing"
    ROUTER_SLOW = "RouterSlow"
    ROUTER_CHANGED = "RouterChanged"
    PAUSING = "Pausing"
    BAKING = "Baking"
    KEEPING_OLD = "KeepingOld"
    STRATEGY_CHANGED = "StrategyChanged"
    DRAINING = "Draining"
    RETURNING = "Returning"
    DELETING = "Deleting"

    AWAITING_APPROVAL = "AwaitingApproval"
    PAUSED_BY_PERSON = "PausedByPerson"
    SUSPENDED = "Suspended"
    MANUAL = "Manual"
    LIMIT_EXCEEDED = "LimitExceeded"

    AWAITING_JOB = "AwaitingJob"
    AWAITING_WEBHOOK = "AwaitingWebhook"
    AWAITING_TRAFFIC = "AwaitingTraffic"
    SUSPICIOUS = "Suspicious"
    UNPROVEN = "Unproven"
    SCALED_TO_ZERO = "ScaledToZero"
    SOURCE_OUTAGE = "SourceOutage"
    METRIC_BROKEN = "MetricBroken"
    METRIC_INVALID = "MetricInvalid"
    METRICS_MISSING = "MetricsMissing"
    LOOK_LEFT_OUT = "LookLeftOut"
    WORK_MISSING = "WorkMissing"
    COMMON_CAUSE = "CommonCause"
    AWAITING_ALERT = "AwaitingAlert"
    CANARY_UNREADY = "CanaryUnready"
    BASELINE_UNREADY = "BaselineUnready"
    NEW_VERSION_UNREADY = "NewVersionUnready"
    STABLE_UNREADY = "StableUnready"
    NO_CAPACITY = "NoCapacity"
    IMAGE_PULL = "ImagePull"
    CONTAINER_CONFIG = "ContainerConfig"
    CONFIG_MISSING = "ConfigMissing"
    CONFIG_TOO_LARGE = "ConfigTooLarge"
    ROUTE_CONTENDED = "RouteContended"
    CHANGED_BY_HAND = "ChangedByHand"
    ROUTER_REFUSED = "RouterRefused"
    ROUTE_NOT_ACCEPTED = "RouteNotAccepted"
    PASS_FAILED = "PassFailed"  # noqa: S105 - a pass of the reconcile loop

    ADOPTION_REFUSED = "AdoptionRefused"
    SERVICE_TAKEN = "ServiceTaken"
    ROUTE_TAKEN = "RouteTaken"
    NAME_TAKEN = "NameTaken"
    INVALID = "Invalid"
    TEMPLATE_REFUSED = "TemplateRefused"

    REGRESSED = "Regressed"
    ALL_BAD = "AllBad"
    MAX_HARMED = "MaxHarmed"
    ALERT_FIRING = "AlertFiring"
    SHARE_UNUSED = "ShareUnused"
    CRASH_LOOP = "CrashLoop"
    PODS_LOST = "PodsLost"
    DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
    JOB_FAILED = "JobFailed"
    JOB_TIMEOUT = "JobTimeout"
    WEBHOOK_REFUSED = "WebhookRefused"
    WEBHOOK_TIMEOUT = "WebhookTimeout"
    ABORTED = "Aborted"
    ROLLED_BACK_BY_PERSON = "RolledBackByPerson"

    PROMOTED = "Promoted"
    PROVEN = "Proven"
    LIMITS_KEPT = "LimitsKept"
    SWITCH_KEPT = "SwitchKept"
    NO_METRICS = "NoMetrics"
    PROMOTED_BY_PERSON = "PromotedByPerson"


@dataclass(frozen=True)
class Facts:
    """What the words in next commands are replaced by; a command with a word for which there is nothing is left out."""

    namespace: str
    name: str
    stable: str = ""
    canary: str = ""
    rejected: str = ""
    """The version that was rejected last."""
    previous: str = ""
    """The version that can be gone back to."""

    @property
    def here(self) -> str:
        """The Release, as commands take it."""
        return f"{self.name} -n {self.namespace}"

    def words(self) -> Mapping[str, str]:
        return {
            "here": self.here,
            "beside": self.here if self.stable else "",
            "first": self.here if self.canary and not self.stable else "",
            "name": self.name,
            "namespace": self.namespace,
            "rejected": self.rejected,
            "previous": self.previous,
        }


@dataclass(frozen=True)
class Meaning:
    """`next`: what to do, the most useful first. {here} is `NAME -n NAMESPACE`, {name} and {namespace} are its parts,
    {beside} is {here} where there is a stable version, {first} where there is none, {rejected} the revision that was
    rejected last, {previous} the one before stable. A line is left out where one of its words means nothing.
    """

    kind: Kind
    sentence: str
    next: tuple[str, ...] = ()

    def lines(self, facts: Facts) -> tuple[str, ...]:
        """What to do next, with what the words mean now."""
        words = facts.words()
        missing = [f"{{{word}}}" for word, value in words.items() if not value]
        return tuple(line.format(**words) for line in self.next if not any(word in line for word in missing))


_WAIT = "pointsman wait {here}"
_ABORT = "pointsman abort {beside} --reason TEXT"
_APPROVE = "pointsman approve {here}"
_PODS = "kubectl get pods -n {namespace} -l pointsman.dev/release={name}"
_JOBS = "kubectl get jobs,pods -n {namespace} -l pointsman.dev/job-of={name}"
_COMMIT = "push a fix, or revert to the stable template"
_RETRY = "pointsman retry {name} {rejected} -n {namespace}"
_ROLLBACK = "pointsman rollback {here} --to {previous}"
_PROMOTE = "pointsman promote {here} --full --reason TEXT"
_OBJECTS = "kubectl get deployments,services,httproutes -n {namespace} --show-labels"
_CONFIG_MAPS = "kubectl get configmaps -n {namespace}"
_ROUTE = "kubectl describe httproute {here}"
_VALIDATE = "pointsman validate FILE"
_END_TRIAL = "pointsman promote {first} --full --reason TEXT"
_MOVING = (_WAIT, _ABORT, _END_TRIAL)


def _moving(sentence: str) -> Meaning:
    return Meaning(Kind.MOVING, sentence, _MOVING)


def _waiting(sentence: str, *commands: str) -> Meaning:
    return Meaning(Kind.WAITING, sentence, commands or (_PODS, _ABORT))


def _rejected(sentence: str) -> Meaning:
    return Meaning(Kind.REJECTED, sentence, (_COMMIT, _RETRY))


def _done(sentence: str) -> Meaning:
    return Meaning(Kind.DONE, sentence, ("commit a new version", _ROLLBACK))


_WORDS = frozenset(Reason)
MEANINGS: dict[Reason, Meaning] = {
    Reason.NEW: Meaning(Kind.MOVING, "The operator has not looked at this Release yet.", (_PODS,)),
    Reason.STARTING: Meaning(Kind.MOVING, "Pods of the first version are starting.", (_PODS,)),
    Reason.READING_RECORD: _moving("Git is read for the version that was healthy before this cluster was built."),
    Reason.RECORD_UNREADABLE: _waiting(
        "The record of healthy versions in git cannot be read; the first deployment waits for it for 15 minutes.",
        "kubectl annotate release {here} pointsman.dev/without-record=allow",
    ),
    Reason.STATUS_LOST: _done("The status was lost; the version that serves was taken for stable."),
    Reason.STABLE_LOST: Meaning(
        Kind.BROKEN,
        "Stable was deleted together with its ControllerRevision and cannot be made again.",
        ("push a version", _RETRY),
    ),
    Reason.FIRST_DEPLOYMENT: _done("The first version serves; there was no version to compare it with."),
    Reason.CANARY_STARTING: _moving("Pods of the new version are starting."),
    Reason.NEW_VERSION_STARTING: _moving("Pods of the new version are starting."),
    Reason.NEXT_STEP: _moving("A step is done and the next one begins."),
    Reason.STEPS_DONE: _moving("All steps are done; the promotion begins."),
    Reason.ANALYZING: _moving("Both versions are measured and compared."),
    Reason.ROUTER_SLOW: _moving("The observed share of traffic still differs from the configured weight."),
    Reason.ROUTER_CHANGED: _moving("spec.traffic names another router; stable is handed over to it first."),
    Reason.PAUSING: _moving("A pause step runs; analysis and rollbacks go on."),
    Reason.BAKING: _moving("The new version has most of the work; the old one keeps a share as the control."),
    Reason.KEEPING_OLD: _moving("The new version has all of the work; the old one is kept ready to take it back."),
    Reason.STRATEGY_CHANGED: _moving("spec.strategy changed in mid-release; the new version starts at its first step."),
    Reason.DRAINING: _moving("The old version finishes the requests that it still has."),
    Reason.RETURNING: _moving("The version that lost its work keeps its pods until the router has followed."),
    Reason.DELETING: Meaning(Kind.MOVING, "The Release is being deleted.", ("kubectl describe release {here}",)),
    Reason.AWAITING_APPROVAL: Meaning(Kind.PERSON, "A person has to approve the next step.", (_APPROVE, _ABORT)),
    Reason.PAUSED_BY_PERSON: Meaning(
        Kind.PERSON, "A person has paused the steps; analysis and rollbacks go on.", ("pointsman resume {here}", _ABORT)
    ),
    Reason.SUSPENDED: Meaning(
        Kind.PERSON,
        "spec.suspend is true; steps and analysis stand still.",
        ('kubectl patch release {here} --type merge -p \'{{"spec":{{"suspend":false}}}}\'',),
    ),
    Reason.MANUAL: Meaning(
        Kind.PERSON,
        "A person controls the route until the time in annotation pointsman.dev/manual.",
        ("kubectl annotate release {here} pointsman.dev/manual-",),
    ),
    Reason.LIMIT_EXCEEDED: Meaning(
        Kind.PERSON,
        "The first version exceeds a limit, and there is no version to roll back to.",
        ("commit a version that keeps to the limits", _PROMOTE),
    ),
    Reason.AWAITING_JOB: _waiting(
        "A step's Job has not succeeded yet; analysis and rollbacks go on.", _JOBS, "pointsman skip {here}", _ABORT
    ),
    Reason.AWAITING_WEBHOOK: _waiting(
        "A gate has not said yes yet; analysis and rollbacks go on.", "pointsman skip {here}", _ABORT
    ),
    Reason.AWAITING_TRAFFIC: _waiting("Too few requests to judge by.", _APPROVE, _ABORT),
    Reason.SUSPICIOUS: _waiting("A metric looks worse, with too few bad units for a rollback.", _APPROVE, _ABORT),
    Reason.UNPROVEN: Meaning(
        Kind.PERSON, "The new version is not proven to be no worse within atMost.", (_APPROVE, _ABORT)
    ),
    Reason.SCALED_TO_ZERO: _waiting("spec.replicas is 0, so there is no work to judge by."),
    Reason.SOURCE_OUTAGE: _waiting("The metric source does not answer.", "kubectl get metricsources -A"),
    Reason.METRIC_BROKEN: _waiting("A metric's answer cannot be counts.", "kubectl get metrictemplates -n {namespace}"),
    Reason.METRIC_INVALID: _waiting("A metric cannot be queried as it is written.", _VALIDATE),
    Reason.METRICS_MISSING: _waiting("The new version must have had work, and no metric shows it."),
    Reason.LOOK_LEFT_OUT: _waiting(
        "The operator ended while it judged a look with very many units; that look is in no test.",
        "kubectl get metrictemplates -n {namespace}",
        _ABORT,
    ),
    Reason.WORK_MISSING: _waiting("The new version gets less work than its weight."),
    Reason.COMMON_CAUSE: _waiting(
        "Stable exceeds the limit too, or the alert fires for it as well, so the new version is not blamed."
    ),
    Reason.AWAITING_ALERT: _waiting(
        "An alert that spec.analysis.alerts names fires, so no step goes on; analysis and rollbacks do.",
        "repair what it is about, or silence it where it comes from",
        _PROMOTE,
        _ABORT,
    ),
    Reason.CANARY_UNREADY: _waiting("No pod of the canary serves; its work went to stable."),
    Reason.BASELINE_UNREADY: _waiting(
        "The new pods of stable that the canary is compared with do not serve. The canary is not blamed for it.",
        _PODS,
        "set spec.strategy.canary.baseline: stable, to compare with the pods that run",
        _ABORT,
    ),
    Reason.NEW_VERSION_UNREADY: _waiting("Too few pods of the new version serve; its work went to stable."),
    Reason.STABLE_UNREADY: _waiting("No pod of stable serves."),
    Reason.NO_CAPACITY: _waiting("Pods cannot be scheduled. The version is not blamed for it."),
    Reason.IMAGE_PULL: _waiting("An image cannot be pulled. The version is not blamed for it."),
    Reason.CONFIG_MISSING: _waiting(
        "A ConfigMap that the template names, or a key of one, does not exist, or may not be read. Running versions "
        "keep their copies.",
        "create the ConfigMap, or mark its reference optional",
        _CONFIG_MAPS,
    ),
    Reason.CONFIG_TOO_LARGE: _waiting(
        "The ConfigMaps that the template names are more than a version can keep.",
        "annotate a large ConfigMap with pointsman.dev/config: live, or set spec.configRefs: None",
        _CONFIG_MAPS,
    ),
    Reason.CONTAINER_CONFIG: _waiting("A container cannot be made as the template says."),
    Reason.ROUTE_CONTENDED: _waiting(
        "Another controller keeps changing the route.", "kubectl get httproute {here} --show-managed-fields -o yaml"
    ),
    Reason.CHANGED_BY_HAND: _waiting("An object that Pointsman owns was changed by hand and is put back.", _OBJECTS),
    Reason.ROUTE_NOT_ACCEPTED: Meaning(
        Kind.BROKEN, "The Gateway does not accept the route, so no request follows it.", (_ROUTE, _VALIDATE)
    ),
    Reason.ROUTER_REFUSED: Meaning(Kind.BROKEN, "The router does not take the weights.", (_VALIDATE,)),
    Reason.PASS_FAILED: Meaning(Kind.BROKEN, "Pointsman cannot finish its work on this Release.", (_PODS,)),
    Reason.ADOPTION_REFUSED: Meaning(
        Kind.BROKEN, "What spec.adopt names cannot be taken over.", ("pointsman adopt deployment/NAME -n {namespace}",)
    ),
    Reason.SERVICE_TAKEN: Meaning(
        Kind.BROKEN,
        "A Service with this name belongs to something else.",
        ("pointsman adopt deployment/NAME -n {namespace}", _OBJECTS),
    ),
    Reason.ROUTE_TAKEN: Meaning(Kind.BROKEN, "A route with this name belongs to something else.", (_OBJECTS,)),
    Reason.NAME_TAKEN: Meaning(Kind.BROKEN, "An object with a needed name belongs to something else.", (_OBJECTS,)),
    Reason.INVALID: Meaning(Kind.BROKEN, "The manifest cannot be read.", (_VALIDATE,)),
    Reason.TEMPLATE_REFUSED: Meaning(Kind.BROKEN, "The API server refuses the template.", (_VALIDATE,)),
    Reason.REGRESSED: _rejected("The new version is worse than its margin allows."),
    Reason.ALL_BAD: _rejected("Everything that the new version did was bad."),
    Reason.MAX_HARMED: _rejected("More units were harmed than spec.analysis.maxHarmed allows."),
    Reason.ALERT_FIRING: _rejected("An alert that spec.analysis.alerts names fires since the version came."),
    Reason.SHARE_UNUSED: _rejected("The new version leaves its share of the queue unused."),
    Reason.PODS_LOST: _rejected("No pod of the first version serves, and what it had taken the work from still runs."),
    Reason.CRASH_LOOP: _rejected("The new version's pods crash."),
    Reason.DEADLINE_EXCEEDED: _rejected("The new version's pods were not ready in time."),
    Reason.JOB_FAILED: _rejected("A step's Job ran against the new version and failed."),
    Reason.JOB_TIMEOUT: _rejected("A step's Job ran longer than its atMost."),
    Reason.WEBHOOK_REFUSED: _rejected("A gate said no."),
    Reason.WEBHOOK_TIMEOUT: _rejected("A gate did not say yes in time."),
    Reason.ABORTED: _rejected("A person aborted the rollout."),
    Reason.ROLLED_BACK_BY_PERSON: _rejected("A person went back to an older version."),
    Reason.PROMOTED: _done("The version serves everything."),
    Reason.PROVEN: _done("The version was shown to be no worse than the one before it."),
    Reason.LIMITS_KEPT: _done("The first version kept to its limits."),
    Reason.SWITCH_KEPT: _done(
        "The version has had all of the work since the switch, and no metric said no. Nothing was randomized, so that "
        "proves nothing."
    ),
    Reason.NO_METRICS: _done("The version serves everything; the Release names no metrics to compare by."),
    Reason.PROMOTED_BY_PERSON: _done("A person promoted the version without a verdict."),
}


_UNKNOWN = Meaning(Kind.MOVING, "", _MOVING)


def meaning_of(word: str) -> Meaning:
    """A step of another package may bring a word that is not known here."""
    return MEANINGS[Reason(word)] if word in _WORDS else _UNKNOWN
