"""`reconcile(key)`: read afresh, decide, act, write the status once, say when to come again.

Nothing here ends the loop: what fails comes back with a back-off, and what was done before a crash is found done.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from controller import registry
from controller.analysis.looking import Looker, Sight
from controller.analysis.runs import RunStore
from controller.analysis.sources import Sources
from controller.api.conditions import conditions_of, write_conditions
from controller.api.phase import Phase
from controller.api.reading import SpecError
from controller.api.release import parse_release, parse_what_runs
from controller.api.resources import RELEASES
from controller.api.status import Status, refused_by_router, status_from_raw, status_to_raw
from controller.kube.cache import Memory
from controller.kube.client import KubeClient, NotFoundError
from controller.kube.objects import Key, selector_text
from controller.ports import RouterError
from controller.rollout.bake import bake_weight
from controller.rollout.decide import decide, withdraw
from controller.rollout.plan import Decision
from controller.runtime.executor import Executor, RefusedError, TemplateLostError
from controller.runtime.observer import Observer, World

_LOG = logging.getLogger(__name__)
_TIMEOUT_S = 60.0
_QUIET_WRITE_S = 15.0
"""How often a status is written in which only the evidence moved."""
_ROUTER_AGAIN_S = 5.0
_REFUSED_AGAIN_S = 60.0


@dataclass
class Reconciler:
    """One per process. Safe to call at once for different keys; the work queue keeps one key to one caller."""

    kube: KubeClient
    memory: Memory
    observer: Observer
    executor: Executor
    looker: Looker
    runs: RunStore
    sources: Sources
    clock: Callable[[], float] = time.time
    pending: dict[Key, set[str]] = field(default_factory=dict)
    """Names of ReleaseActions that were seen without an answer; a hint for where to look, and no more than that."""
    versions: dict[Key, str] = field(default_factory=dict)
    """resourceVersion of each Release as it was last read or written here; the resync compares with it."""
    _written: dict[Key, float] = field(default_factory=dict)

    async def reconcile(self, key: Key) -> float | None:
        """Seconds until time alone may change something. Raises KubeError, TimeoutError."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                return await self._reconcile(key)
        except BaseException:
            self.memory.forget(key.namespace, key.name)  # something was not as remembered
            raise

    async def _reconcile(self, key: Key) -> float | None:
        try:
            release = await self.memory.get(RELEASES, key.namespace, key.name)
        except NotFoundError:
            self._forget(key)
            return None
        self.versions[key] = release["metadata"]["resourceVersion"]
        status = status_from_raw(release.get("status", {}))
        try:
            spec = parse_release(key.name, release["spec"], registry.kinds())
        except SpecError as error:
            return await self._withdraw(key, release, status, str(error))
        asked = frozenset(self.pending.get(key, ()))
        try:
            world = await self.observer.observe(key, release, spec, status, asked)
        except RouterError as error:
            await self._write(key, release, refused_by_router(status, str(error)))
            return _ROUTER_AGAIN_S
        self._drop_answered(key, asked, world)
        now = self.clock()
        sight = await self._look(world, status, now)
        observation = replace(
            world.observation,
            status=status.changed(run=sight.run or status.run),
            evidence=sight.evidence,
            step_units=sight.step_units,
            metric_trouble=sight.trouble,
            disaster=sight.disaster,
            following=sight.following,
            late=sight.late,
        )
        world = replace(world, observation=observation)
        return _soonest(await self._carry_out(world, decide(observation, now), now), sight.again_in)

    async def _withdraw(self, key: Key, release: dict[str, Any], status: Status, problem: str) -> float | None:
        """The spec was let in and cannot be meant. What of it can be read is used to protect its users."""
        try:
            spec = parse_what_runs(key.name, release["spec"], registry.kinds())
        except SpecError:
            if "deletionTimestamp" in release["metadata"]:
                await self.executor.drop_finalizer(release)
                return None
            await self._write(key, release, status.changed(phase=Phase.INVALID, reason="Invalid", message=problem))
            return None
        world = await self.observer.observe(key, release, spec, status, ())
        now = self.clock()
        return await self._carry_out(world, withdraw(world.observation, now, problem), now)

    async def _carry_out(self, world: World, decision: Decision, now: float) -> float | None:
        try:
            for action in decision.actions:
                await self.executor.carry_out(world, action, now)
        except (RefusedError, TemplateLostError) as error:
            return await self._refused(world, decision.status, error)
        except RouterError as error:
            self.memory.forget(world.key.namespace, world.key.name)
            waiting = refused_by_router(world.observation.status, str(error))
            await self._write(world.key, world.release, waiting)
            return _ROUTER_AGAIN_S
        await self._write(world.key, world.release, self._complete(world, decision.status))
        for action in decision.after:
            await self.executor.carry_out(world, action, now)
        return decision.again_in

    async def _look(self, world: World, status: Status, now: float) -> Sight:
        if world.spec.suspend or world.observation.deleting:
            return Sight()
        seen = world.observation
        return await self.looker.look(
            world.key,
            world.spec.analysis,
            status,
            world.owner,
            target=seen.target,
            now=now,
            by_weight=seen.sizing.written,
            reserve_at=bake_weight(world.spec.steps),
        )

    async def _refused(self, world: World, decided: Status, error: RefusedError | TemplateLostError) -> float | None:
        """The API server does not take what the spec says: its sentence is the message.

        What was decided about the attempt stands, for the traffic was moved before the objects were made.
        """
        self.memory.forget(world.key.namespace, world.key.name)
        before = world.observation.status
        kept = decided if decided.canary == world.observation.target else before
        message = str(error) if isinstance(error, RefusedError) else f"spec.template: {error}"
        invalid = kept.changed(phase=Phase.INVALID, reason="TemplateRefused", behind="", message=message)
        await self._write(world.key, world.release, self._complete(world, invalid))
        if world.observation.asked != world.observation.target:
            return _ROUTER_AGAIN_S  # another one waits, and need not wait for this
        if isinstance(error, TemplateLostError):
            return None
        # quota or admission may change their minds soon, and a webhook that refused may have been wrong
        return _QUIET_WRITE_S if error.forbidden else _REFUSED_AGAIN_S

    @staticmethod
    def _complete(world: World, status: Status) -> Status:
        revision = status.stable or status.canary
        return status.changed(selector=selector_text(world.key.name, revision) if revision else "")

    async def _write(self, key: Key, release: Mapping[str, Any], status: Status) -> None:
        """Once a pass, and only what changed; raises ConflictError when somebody else was faster."""
        before = release.get("status", {})
        generation = release["metadata"]["generation"]
        raw = status_to_raw(status)
        raw["observedGeneration"] = generation
        known = before.get("conditions", [])
        raw["conditions"] = write_conditions(conditions_of(status), known, generation, self.clock())
        if raw == before or (_without_evidence(raw) == _without_evidence(before) and not self._is_due(key)):
            return
        body = {**release, "status": raw}
        try:
            answer = await self.memory.replace(RELEASES, body, "status")
        except NotFoundError:
            return
        self.versions[key] = answer["metadata"]["resourceVersion"]
        self._written[key] = asyncio.get_running_loop().time()

    def _is_due(self, key: Key) -> bool:
        return asyncio.get_running_loop().time() - self._written.get(key, -_QUIET_WRITE_S) >= _QUIET_WRITE_S

    def _drop_answered(self, key: Key, asked: frozenset[str], world: World) -> None:
        """What was answered, or is gone, is not read again; what came meanwhile stays."""
        left = self.pending.get(key, set()) - asked | {request.name for request in world.observation.requests}
        if left:
            self.pending[key] = left
        else:
            self.pending.pop(key, None)

    def _forget(self, key: Key) -> None:
        self.memory.forget(key.namespace, key.name)
        self.pending.pop(key, None)
        self.versions.pop(key, None)
        self._written.pop(key, None)
        self.runs.forget(key)
        self.looker.forget(key)
        self.sources.forget(key)


def _without_evidence(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in raw.items() if name != "evidence"}


def _soonest(*seconds: float | None) -> float | None:
    return min((second for second in seconds if second is not None), default=None)
