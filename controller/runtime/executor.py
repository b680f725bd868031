"""Carries out what was decided, action by action, in the order of the decision. Each may be done twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.analysis.runs import RunStore
from controller.api import times
from controller.api.resources import RELEASE_ACTIONS
from controller.kube.cache import ObjectCache
from controller.kube.client import NotFoundError
from controller.kube.config_maps import ConfigMaps
from controller.kube.events import Events
from controller.ports import RouterError
from controller.rollout.actions import (
    Action,
    Answer,
    Event,
    FinishAnalysis,
    LeaveRouter,
    ReturnRoute,
    SetPreview,
    SetWeights,
    TakeOver,
)
from controller.runtime.object_executor import ObjectExecutor
from controller.runtime.observer import World
from controller.runtime.traffic_executor import move_traffic


class Executor:
    def __init__(self, kube: ObjectCache, runs: RunStore, events: Events, config_maps: ConfigMaps) -> None:
        self._kube = kube
        self._runs = runs
        self._events = events
        self.objects = ObjectExecutor(kube, events, config_maps)

    async def carry_out(self, world: World, action: Action, now: float) -> None:
        """Raises KubeError, RouterError, RefusedError, TemplateLostError, NameTakenError.

        Every write but a creation carries the version that was decided on, and so does every deletion: a leader that
        was frozen with a decision in hand is answered 409. What it creates is found, and put right, by who leads then.
        """
        match action:
            case SetWeights() | SetPreview() | TakeOver() | LeaveRouter() | ReturnRoute():
                await move_traffic(world, action)
            case FinishAnalysis():
                await self._runs.close(world.key, world.observation.status.run, action.verdict, action.message)
            case Answer():
                await self._answer(world, action, now)
            case Event():
                self._events.emit(world.release, action.reason, action.message, warning=action.warning)
            case _:
                await self.objects.carry_out(world, action)

    async def delete_anyway(self, release: Mapping[str, Any], error: RouterError) -> None:
        """Ends the wait of a deletion for a router that does not answer."""
        message = f"the traffic could not be moved to stable: {error}"
        self._events.emit(release, "DeletedAnyway", message, warning=True)
        await self.objects.drop_finalizer(release)

    async def _answer(self, world: World, action: Answer, now: float) -> None:
        result = "Accepted" if action.accepted else "Refused"
        status = {"result": result, "message": action.message[:1024], "at": times.to_text(now)}
        patch = {"metadata": {"resourceVersion": world.action_versions[action.name]}, "status": status}
        try:
            await self._kube.patch(RELEASE_ACTIONS, world.key.namespace, action.name, patch, "status")
        except NotFoundError:
            return  # whoever asked took it away: there is nobody to answer
