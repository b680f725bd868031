"""`reconcile(key)`: read afresh, decide, act, write the status once, say when to come again.

Nothing here ends the loop: what fails comes back with a back-off, and what was done before a crash is found done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

from controller import registry
from controller.analysis.alerts import Alerts
from controller.analysis.controller import AnalysisController
from controller.analysis.runs import RunStore
from controller.analysis.schedule import quiet_s
from controller.analysis.sources import Sources
from controller.api import times
from controller.api.conditions import conditions_of, write_conditions
from controller.api.phase import Phase
from controller.api.reading import SpecError
from controller.api.reasons import Reason
from controller.api.release import parse_release
from controller.api.resources import RELEASES
from controller.api.status import Blocked, Status
from controller.api.status_format import status_from_raw, status_to_raw
from controller.api.what_runs import parse_what_runs
from controller.effects.outbox import Outbox
from controller.kube.cache import ObjectCache
from controller.kube.client import KubeClient, KubeError, NotFoundError
from controller.kube.config_maps import ConfigMaps
from controller.kube.host_names import HostNames
from controller.kube.objects import Key, selector_text
from controller.ports import RouterError
from controller.rollout.actions import Action, LeaveRouter, SetPreview, SetWeights, TakeOver
from controller.rollout.converge import Decision
from controller.rollout.decide import decide, withdraw
from controller.rollout.owing import as_it_stands
from controller.runtime.analyzed import analyzed_in, draining_in
from controller.runtime.blocked import blocked_by, refused_by_router, router_again_in
from controller.runtime.executor import Executor
from controller.runtime.listeners import NOBODY, Listeners
from controller.runtime.notify_defaults import NotifyDefaults
from controller.runtime.observer import Observer, World
from controller.runtime.open_alerts import OpenAlerts
from controller.runtime.pending_actions import PendingActions
from controller.runtime.reachability import Reachability
from controller.runtime.refusals import NameTakenError, RefusedError, TemplateLostError

_LOG = logging.getLogger(__name__)
_TIMEOUT_S = 60.0
_SAY_AFTER_S = 10.0
"""A pass that failed for so long is said; most failures are over with the next try."""
_SAY_S = 5.0
_DELETE_ANYWAY_S = 120.0
"""How long a deletion waits for a router that does not answer."""


@dataclass
class Reconciler:
    """One per process. Safe to call at once for different keys; the work queue keeps one key to one caller."""

    kube: KubeClient
    cache: ObjectCache
    observer: Observer
    executor: Executor
    analysis: AnalysisController
    runs: RunStore
    sources: Sources
    outbox: Outbox[Key]
    open_alerts: OpenAlerts
    clock: Callable[[], float]
    hosts: HostNames
    reachability: Reachability
    config_maps: ConfigMaps
    alerts: Alerts
    notify_defaults: NotifyDefaults
    listeners: Listeners = NOBODY
    _pending: PendingActions = field(default_factory=PendingActions)
    _versions: dict[Key, str] = field(default_factory=dict)
    """resourceVersion of each Release as it was last read or written here; the resync compares with it."""
    _written: dict[Key, float] = field(default_factory=dict)
    _took_weights: set[Key] = field(default_factory=set)
    """Whose router has taken the weights that were written last."""
    _preview_refused: dict[Key, str] = field(default_factory=dict)
    """Why the preview of each Release could not be written last."""
    _left: dict[Key, str] = field(default_factory=dict)
    """Whose router beside the one in use keeps nothing of ours."""
    _blocked: dict[Key, int] = field(default_factory=dict)
    """How many passes over each Release in a row were blocked."""
    _failing: dict[Key, float] = field(default_factory=dict)
    """Since when each pass over a Release fails, by the loop's clock."""

    def action_seen(self, key: Key, name: str, action: object) -> None:
        """The ReleaseAction `name` of the Release `key` has no answer; a pass reads it soon. `action`: what it asks."""
        self._pending.add(key, name, action)

    def metrics_changed(self, namespace: str) -> None:
        """A source or a template of the namespace has changed."""
        self.sources.changed(namespace)

    def knows(self, key: Key) -> bool:
        """Whether a pass has read it."""
        return key in self._versions

    def changed_since(self, versions: Mapping[Key, str]) -> set[Key]:
        """Those whose resourceVersion in `versions`, or absence, is not what was read or written here last."""
        known = self._versions
        return {key for key in versions.keys() | known.keys() if versions.get(key) != known.get(key)}

    async def reconcile(self, key: Key) -> float | None:
        """Seconds until time alone may change something. Raises KubeError, TimeoutError, and what is unexpected."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                again_in = await self._reconcile(key)
        except Exception as error:
            self.cache.forget(key.namespace, key.name)  # something was not as cached
            await self._say_why(key, error)
            raise
        except BaseException:
            self.cache.forget(key.namespace, key.name)
            raise
        self._failing.pop(key, None)
        return again_in

    async def _say_why(self, key: Key, error: Exception) -> None:
        """What keeps every pass from being finished stands in the status within a minute."""
        loop = asyncio.get_running_loop()
        since = self._failing.setdefault(key, loop.time())
        if loop.time() - since < _SAY_AFTER_S:
            return
        known = isinstance(error, KubeError | TimeoutError)
        text = str(error) or "it took too long"
        message = text if known else f"unexpected {type(error).__name__}: {text}. The operator's log has the details."
        try:
            async with asyncio.timeout(_SAY_S):
                release = await self.kube.find(RELEASES, key.namespace, key.name)
                if release is not None:
                    status = status_from_raw(release.get("status", {}))
                    await self._end_early(key, release, status.blocked_by(Blocked(Reason.PASS_FAILED, message)))
        except (KubeError, TimeoutError) as problem:
            _LOG.info("%s: the error could not be written to the status: %s", key, problem)

    async def _reconcile(self, key: Key) -> float | None:
        try:
            release = await self.cache.get(RELEASES, key.namespace, key.name)
        except NotFoundError:
            self._forget(key)
            return None
        release = {**release, "metadata": dict(release["metadata"])}  # what is cached is not ours to change
        self._versions[key] = release["metadata"]["resourceVersion"]
        status = _of_known_routers(status_from_raw(release.get("status", {})))
        self.open_alerts.keep(key, release, status)
        try:
            spec = parse_release(key.name, release["spec"], registry.kinds())
        except SpecError as error:
            return await self._withdraw(key, release, status, str(error))
        spec, notify_problem = await self.notify_defaults.applied(spec, release["spec"], key.namespace)
        pending = self._pending.first(key)
        try:
            world = await self.observer.observe(key, release, spec, status, pending)
        except RouterError as error:
            return await self._unreadable(key, release, status, error)
        more = self._pending.read(key, pending, [request.name for request in world.observation.requests])
        now = self.clock()
        # the last result, at once; what is to be analyzed from now on is said by asking for it
        found = self.analysis.result(key, analyzed_in(world, status), now)
        alerts = self.alerts.known(key, spec.analysis.alerts, status)
        observation = replace(
            world.observation,
            status=status.judged_by(found.run or status.run),
            preview_refused=world.observation.preview_refused or self._preview_refused.get(key, ""),
            router_took_weights=key in self._took_weights,
            left_beside=self._left.get(key) == status.router_beside != "",
            analysis_pending=found.pending or alerts.pending,
            evidence=found.evidence,
            step_units=found.step_units,
            looked_until=found.looked_until,
            metric_trouble=found.trouble or alerts.trouble,
            disaster=found.disaster,
            share_lag=found.share_lag,
            late=found.late,
            cold_start=found.cold_start,
            unmeasured=found.unmeasured,
            lacks_before=found.lacks_before,
            alerts=alerts.firing,
            old_is_quiet=self.analysis.drains.is_quiet(key, draining_in(world)),
            effects=self.outbox.results(key),
            notify_problem=notify_problem,
        )
        world = replace(world, observation=observation)
        decision = decide(observation, now)
        again_in = await self._carry_out(world, decision, now)
        self.analysis.pass_done(key, decision.status)
        return _soonest(again_in, found.again_in, 0 if more else None)

    async def _unreadable(self, key: Key, release: dict[str, Any], status: Status, error: RouterError) -> float | None:
        """What the router says it has cannot be read, so nothing is decided."""
        if self._has_waited(release):
            await self.executor.delete_anyway(release, error)
            return None
        await self._end_early(key, release, status.blocked_by(refused_by_router(error)))
        return router_again_in(self._count_blocked(key))

    async def _withdraw(self, key: Key, release: dict[str, Any], status: Status, problem: str) -> float | None:
        """The spec was let in and cannot be meant. What of it can be read is used to protect its users."""
        try:
            spec = parse_what_runs(key.name, release["spec"], registry.kinds())
        except SpecError:
            if "deletionTimestamp" in release["metadata"]:
                await self.executor.objects.drop_finalizer(release)
                return None
            invalid = status.changed(phase=Phase.INVALID, reason=Reason.INVALID, message=problem)
            await self._end_early(key, release, invalid)
            return None
        spec, _ = await self.notify_defaults.applied(spec, release["spec"], key.namespace)
        try:
            world = await self.observer.observe(key, release, spec, status, ())
        except RouterError as error:
            return await self._unreadable(key, release, status, error)
        now = self.clock()
        self.analysis.result(key, None, now)
        observation = replace(world.observation, effects=self.outbox.results(key))
        return await self._carry_out(replace(world, observation=observation), withdraw(observation, now, problem), now)

    async def _end_early(self, key: Key, release: dict[str, Any], status: Status) -> None:
        """What is owed to the outside needs nothing of what keeps the pass from being finished."""
        left = as_it_stands(status, self.outbox.results(key))
        await self._write(key, release, left)
        self.outbox.submit(key, left.owed)

    async def _carry_out(self, world: World, decision: Decision, now: float) -> float | None:
        """Work is taken away, the status is written, and then comes everything else.

        Whatever fails after the status is found undone by the next pass, which knows of the attempt and can roll it
        back; what keeps it from being done stands in the status until it is.
        """
        before, decided = world.observation.status, self._complete(world, decision.status)
        if decided.router_beside != before.router_beside:
            self._left.pop(world.key, None)
        stored = before
        try:
            for action in decision.first:
                await self._do(world, action, now)
            stored = decided
            await self._write(world.key, world.release, stored.blocked_by(before.blocked))
            self.outbox.submit(world.key, decided.owed)
            for action in decision.then:
                await self._do(world, action, now)
        except (RefusedError, TemplateLostError, NameTakenError, RouterError) as error:
            self.cache.forget(world.key.namespace, world.key.name)
            if isinstance(error, RouterError) and self._has_waited(world.release):
                await self.executor.delete_anyway(world.release, error)
                return None
            blocked, again_in = blocked_by(world, error, self._count_blocked(world.key))
            await self._end_early(world.key, world.release, stored.blocked_by(blocked))
            return again_in
        self._blocked.pop(world.key, None)
        if before.blocked is not None:
            await self._write(world.key, world.release, decided)
        return decision.again_in

    def _count_blocked(self, key: Key) -> int:
        """How many there were before this one."""
        before = self._blocked.get(key, 0)
        self._blocked[key] = before + 1
        return before

    async def _do(self, world: World, action: Action, now: float) -> None:
        if isinstance(action, SetWeights):
            self._took_weights.discard(world.key)
        try:
            await self.executor.carry_out(world, action, now)
        except RouterError as error:
            if not isinstance(action, SetPreview):
                raise
            # a preview is nobody's work: nothing else waits for it
            self._preview_refused[world.key] = str(error)
            self.cache.forget(world.key.namespace, world.key.name)
            return
        match action:
            case SetPreview():
                self._preview_refused.pop(world.key, None)
            case SetWeights():
                self._took_weights.add(world.key)
            case TakeOver():
                self._left.pop(world.key, None)
            case LeaveRouter():
                self._left[world.key] = world.observation.status.router_beside
            case _:
                pass

    def _has_waited(self, release: Mapping[str, Any]) -> bool:
        """Whether a deletion has waited long enough for a router that does not answer."""
        deleted = release["metadata"].get("deletionTimestamp")
        return deleted is not None and self.clock() - times.from_text(deleted) > _DELETE_ANYWAY_S

    @staticmethod
    def _complete(world: World, status: Status) -> Status:
        return status.changed(selector=selector_text(world.key.name, status.share_the_work))

    async def _write(self, key: Key, release: dict[str, Any], status: Status) -> None:
        """Only what changed; raises ConflictError when another writer was faster."""
        before = release.get("status", {})
        generation = release["metadata"]["generation"]
        raw = status_to_raw(status)
        raw["observedGeneration"] = generation
        known = before.get("conditions", [])
        raw["conditions"] = write_conditions(conditions_of(status), known, generation, self.clock())
        if raw == before or (_without_evidence(raw) == _without_evidence(before) and not self._is_due(key)):
            self.listeners.status(key, status)
            return
        body = {**release, "status": raw}
        try:
            answer = await self.cache.replace(RELEASES, body, "status")
        except NotFoundError:
            self.open_alerts.keep(key, release, status)  # whose ends are handed over by this pass
            return
        # what is written next in this pass is decided on this version
        release["metadata"]["resourceVersion"] = self._versions[key] = answer["metadata"]["resourceVersion"]
        release["status"] = raw
        self._written[key] = asyncio.get_running_loop().time()
        self.open_alerts.keep(key, release, status)
        self.listeners.status(key, status)

    def _is_due(self, key: Key) -> bool:
        """Where only the evidence has moved."""
        written = self._written.get(key, -inf)
        return asyncio.get_running_loop().time() - written >= quiet_s(self.analysis.releases)

    def _forget(self, key: Key) -> None:
        self.cache.forget(key.namespace, key.name)
        self.config_maps.forget(key)
        self._pending.forget(key)
        self._versions.pop(key, None)
        self._written.pop(key, None)
        self._blocked.pop(key, None)
        self._failing.pop(key, None)
        self._took_weights.discard(key)
        self._left.pop(key, None)
        self._preview_refused.pop(key, None)
        self.runs.forget(key)
        self.analysis.forget(key)
        self.sources.forget(key)
        self.open_alerts.gone(key)
        self.hosts.forget(key)
        self.reachability.forget(key)
        self.listeners.forget(key)
        self.alerts.forget(key)


def _of_known_routers(status: Status) -> Status:
    """A router that is not installed any more, as after a downgrade, cannot be asked, or left."""
    known = registry.modules("routers")
    router = status.router if status.router in known else ""
    beside = status.router_beside if status.router_beside in known else ""
    return (
        status
        if (router, beside) == (status.router, status.router_beside)
        else status.changed(router=router, router_beside=beside)
    )


def _without_evidence(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in raw.items() if name != "evidence"}


def _soonest(*seconds: float | None) -> float | None:
    return min((second for second in seconds if second is not None), default=None)
