"""A small world in which `decide` can be tried: it carries out what is decided, and time passes.

    world.given(release(steps=[weight(5, analyze("1m", "10m"))]).on("v2"))
    world.metrics.go_dark()
    world.advance(minutes=20)
    assert world.release.phase == "Waiting"
    assert world.traffic.canary == 5

Every reconcile also holds what must hold in every state (`rules.py`), so each test checks all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from controller.api.alerts import FiringAlert
from controller.api.conditions import conditions_of, write_conditions
from controller.api.reasons import Reason
from controller.api.status import Clock, Status
from controller.api.status_format import status_from_raw, status_to_raw
from controller.rollout import decide as decider
from controller.rollout.actions import Action, EnsureRevision, Event, SetWeights
from controller.rollout.converge import Decision
from controller.rollout.effect import Result
from controller.rollout.observation import ConfigTrouble, LastRun, MetricTrouble, Observation, Request, common_cause
from controller.rollout.sizing import Sizing
from controller.rollout.strategy import words_of
from controller.stats.all_bad import Disaster
from controller.stats.evidence import units_since
from tests.unit.rollout import rules
from tests.unit.rollout.cluster import Cluster, Traffic, words
from tests.unit.rollout.language import Given
from tests.unit.rollout.looking import Looking
from tests.unit.rollout.outbox import heard
from tests.unit.rollout.runs import Run, evidence_of
from tests.unit.rollout.texts import texts_steer_nothing

MISSING, UNKNOWN = "missing", "unknown"
_BUSY = 50
"""Decisions at one moment that are still no busy loop."""


class CrashError(Exception):
    """The operator stops between two actions."""


class BrokenWriteError(Exception):
    """One kind of write is refused, every time."""


@dataclass
class World(Looking):
    log: list[str] = field(default_factory=list)
    """What was carried out, in order, in short words."""
    decisions: int = 0
    crash_at: tuple[int, int] | None = None
    """The decision, counted from 1, that stops after so many of its actions."""
    sizes: list[tuple[int, int]] = field(default_factory=list)
    """Each decision that did something, and the places in it where the operator can stop."""
    checked: bool = True
    """False: nothing is held of its decisions, until one of them is cut off by a crash."""
    disaster: Disaster | None = None
    """What provisional counts say of the canary under way."""
    configuration: str = ""
    """MISSING: what the spec asks for is as it was before its ConfigMap went; UNKNOWN: nothing is known of it."""
    config_change: str = ""
    unused_credits_s: float = 0.0
    """For how long the canary has left credits of its share unused."""
    alerts: tuple[FiringAlert, ...] = ()
    """Those that fire, whether a gate matches them or not."""
    old_is_quiet: bool | None = None
    """Whether a version that drains got no work for `drain.quiet`; None: nothing counts it."""
    manual_until: float | None = None
    without_record: bool = False
    """Annotation pointsman.dev/without-record."""
    brought_by: str = ""
    """Annotation pointsman.dev/commit."""
    effects: dict[str, Result] = field(default_factory=dict)
    """What the outbox knows, by the ids of effects."""
    gate: Result | None = None  # what it learns, as time passes, of each that is owed; None: nothing
    keeps_evidence: bool = True  # what a rejected version's pods say, within a look; else nothing is heard of it
    broken: type[Action] | str = ""
    """The kind of write that is refused from now on; "status" for that of the status."""
    router_took_weights: bool = False
    preview_refused: str = ""
    unsupported: str = ""
    lacks_before: bool = False
    cold_start: str = ""
    unmeasured: str = ""
    last_run: LastRun | None = None
    """What AnalysisRuns say where the status is lost."""

    # -- given ---------------------------------------------------------------------------------------------------

    def given(self, given: Given) -> World:
        self.spec, self.target = given.spec, given.serving or "v1"
        self.cluster = Cluster(given.sizing)
        self._keep({"observedGeneration": -1})
        self.conditions: list[dict[str, Any]] = []
        self.requests: list[Request] = []
        self.attempts = {}
        self.deleting = False
        self.retry = ""
        self.without_record = bool(given.serving)
        self.last_look = self.looked_until = self.cluster.now
        if given.serving:
            self.advance(minutes=1)
            assert self.release.phase == "Healthy", self.release
        if given.coming:
            self.commit(given.coming)
            self.until(lambda: self.release.step >= given.step and self.traffic.canary > 0)
        self.log.clear()
        self.sizes.clear()
        self.decisions = 0
        return self

    # -- when ----------------------------------------------------------------------------------------------------

    def advance(self, *, minutes: float = 0, seconds: float = 0) -> None:
        """Time passes; every five seconds there is a look, and a decision."""
        end = self.cluster.now + minutes * 60 + seconds
        while self.cluster.now < end:
            self.cluster.now = min(end, self.cluster.now + self.spec.analysis.interval)
            self._look()
            self.learn()
            self.settle()

    def learn(self) -> None:
        """The outbox hears of its effects, and forgets those that are owed no longer."""
        self.effects = dict(heard(self.effects, self.release.owed, self.gate, kept=self.keeps_evidence))

    def until(self, happened: Callable[[], bool], *, minutes: float = 60) -> None:
        end = self.cluster.now + minutes * 60
        while not happened():
            assert self.cluster.now < end, f"did not happen: {self.release}"
            self.advance(seconds=self.spec.analysis.interval)

    # -- then ----------------------------------------------------------------------------------------------------

    @property
    def traffic(self) -> Traffic:
        return Traffic(self.cluster, self.release)

    def condition(self, kind: str) -> dict[str, Any] | None:
        return next((one for one in self.conditions if one["type"] == kind), None)

    def snapshot(self) -> dict[str, Any]:
        """Where things ended, without moments, and without what counts how often something was told."""
        status = self.release
        moments: dict[str, Any] = {
            name: None for name in Status.__dataclass_fields__ if name.endswith(("since", "_up", "_until"))
        }
        if status.attempt is not None:
            moments["attempt"] = replace(status.attempt, clock=Clock(0.0))
        return {
            "status": replace(status, evidence="", unproven=(), last_rollback=None, rejected=(), **moments),
            "unproven": [one.step for one in status.unproven],
            "rejected": [(one.revision, one.reason) for one in status.rejected],
            "pods": {name: one.wanted for name, one in self.cluster.deployments.items()},
            "weights": self.cluster.weights(),
            "service": self.cluster.service,
            "finalizer": self.cluster.finalizer,
            "answers": {name: one.accepted for name, one in self.cluster.answers.items()},
        }

    # -- the operator --------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Reconciles until nothing changes at this moment."""
        last: Decision | None = None
        for _ in range(_BUSY):
            before, serving = _still(self.raw), self.cluster.serving()
            try:
                decision = self.reconcile()
            except CrashError:
                last = None
                continue
            except BrokenWriteError:
                return  # the pass comes again with a back-off, and finds the same
            if decision is None or (not decision.actions and _still(self.raw) == before):
                return
            if last is not None and last.again_in != 0 and self.checked:
                raise AssertionError(f"decided again, and differently: {decision} after {last}")
            # pods that go, or cannot come, show at once: a change, that may be answered
            last = decision if self.cluster.serving() == serving else None
        raise AssertionError(f"a busy loop: {self.log[-8:]}, {self.release}")

    def observe(self) -> Observation:
        status, run = self.release, self.attempts.get(self.release.run)
        return Observation(
            spec=self.spec,
            sizing=self.cluster.sizing,
            spec_revision=f"{self.target}?" if self.configuration == UNKNOWN else self.target,
            status=status,
            config_trouble=self._config_trouble(),
            config_change=self.config_change,
            router_took_weights=self.router_took_weights,
            deleting=self.deleting,
            finalizer=self.cluster.finalizer,
            revisions=self.cluster.states(),
            weights=self.cluster.weights(),
            preview=self.cluster.preview,
            preview_refused=self.preview_refused,
            unsupported=self.unsupported,
            lacks_before=self.lacks_before,
            cold_start=self.cold_start,
            route_by="" if self.cluster.route == self.cluster.written else "robot",
            unused_credits_s=self.unused_credits_s,
            marked_on_trial=self.cluster.on_trial if self.cluster.sizing is Sizing.BY_CLAIMS else None,
            service=self.cluster.service,
            evidence=evidence_of(run),
            step_units=units_since(run.looks, status.step_since, run.plan.judging) if run else 0,
            looked_until=self.looked_until if run else None,
            unmeasured=self.unmeasured,
            share_lag=run.share_lag(status) if run else "",
            metric_trouble=self._trouble(run),
            disaster=self.disaster if status.canary else None,
            alerts=tuple(
                alert
                for alert in self.alerts
                if any(gate.matches(alert.labels, alert.source) for gate in self.spec.analysis.alerts)
            ),
            old_is_quiet=self.old_is_quiet if status.drain_since is not None else None,
            manual_until=self.manual_until,
            effects=self.effects,
            requests=tuple(one for one in self.requests if one.name not in self.cluster.answers),
            retry=self.retry,
            commit=self.brought_by,
            last_run=None if status.stable or status.attempt is not None else self.last_run,
            without_record=self.without_record,
            kept=tuple(reversed(self.cluster.templates)),
        )

    def _config_trouble(self) -> ConfigTrouble | None:
        if not self.configuration:
            return None
        message = "ConfigMap shop/prompts does not exist"
        return ConfigTrouble(Reason.CONFIG_MISSING, message, stands_in=self.configuration == MISSING)

    def _trouble(self, run: Run | None) -> MetricTrouble | None:
        if not (self.release.canary and self.spec.analysis.metrics):
            return None
        return self.metrics.trouble or common_cause(
            evidence_of(run), words_of(switches=self.spec.strategy.switches).trial
        )

    def reconcile(self) -> Decision | None:
        if self.cluster.gone:
            return None
        self._start_run()
        seen = self.observe()
        decision = decider.decide(seen, self.cluster.now)
        self.decisions += 1
        if self.checked:
            rules.hold_for(seen, decision)
            texts_steer_nothing(seen, self.cluster.now, decision)
        raw = status_to_raw(decision.status)
        changes = bool(decision.actions) or _still(raw) != _still(self.raw)
        if changes:
            self.sizes.append((self.decisions, len(decision.actions) + 1))
        done = 0
        for action in decision.first:
            self._crash(done)
            self._carry_out(action, seen)
            done += 1
        self._crash(done)
        self._write(decision.status, raw)
        for action in decision.then:
            self._crash(done + 1)
            self._carry_out(action, seen)
            done += 1
        if self.checked:
            rules.hold_at_rest(self.cluster, seen, self.release)
        self.cluster.gone = self.deleting and not self.cluster.finalizer
        return decision

    def _crash(self, done: int) -> None:
        if self.crash_at == (self.decisions, done):
            self.crash_at, self.router_took_weights = None, False
            self.checked = True
            raise CrashError

    def _carry_out(self, action: Action, seen: Observation) -> None:
        if type(action) is self.broken:
            raise BrokenWriteError
        if isinstance(action, EnsureRevision):
            kept = (self.target, *self.cluster.templates)
            assert (action.of or action.revision) in kept, f"the template of {action.revision} is lost"
        self.cluster.carry_out(action, seen.status.run)
        self.router_took_weights |= isinstance(action, SetWeights)
        if not isinstance(action, Event):
            self.log.append(words(action))
        if self.checked:
            rules.hold_after(self.cluster, seen, action, self.release)

    def _write(self, status: Status, raw: dict[str, Any]) -> None:
        if raw == self.raw:
            return
        if self.broken == "status":
            raise BrokenWriteError
        before = self.conditions
        self.conditions = write_conditions(conditions_of(status), before, 1, self.cluster.now)
        rules.conditions_hold(status, before, self.conditions)
        self._keep(raw)
        self.log.append(f"status {status.phase} {status.reason}")

    def _keep(self, raw: dict[str, Any]) -> None:
        self.raw = raw
        self.release = status_from_raw(raw)

    def restart(self) -> None:
        """Memory is lost."""
        self.router_took_weights = False
        for run in self.attempts.values():
            run.recover()


def _still(raw: dict[str, Any]) -> dict[str, Any]:
    """A status without what follows from the pods that the decision itself has asked for."""
    return {key: value for key, value in raw.items() if key not in ("replicas", "readyReplicas", "analysisRun")}
