"""Carries out what is decided about traffic, at the router in use and at one beside it."""

from __future__ import annotations

from typing import assert_never

from controller.kube.client import InvalidError
from controller.ports import Borrows, Previews, Router, RouterError, Weights
from controller.rollout.actions import LeaveRouter, ReturnRoute, SetPreview, SetWeights, TakeOver
from controller.runtime.observer import World

TrafficAction = LeaveRouter | ReturnRoute | SetPreview | SetWeights | TakeOver


async def move_traffic(world: World, action: TrafficAction) -> None:
    """Raises KubeError, RouterError."""
    match action:
        case SetWeights():
            stable = world.observation.status.stable
            said = Weights(dict(action.shares), stable=stable, hard_stop=action.hard_stop, on_trial=action.on_trial)
            await _ensure(world.router, said)
        case TakeOver():
            await _ensure(_beside(world), Weights({action.revision: 100.0}, stable=action.revision))
        case SetPreview():
            if not isinstance(world.router, Previews):
                raise RouterError("the router cannot tell requests apart, as a preview needs")
            await world.router.show(action.preview)
        case ReturnRoute():
            for router in [one for one in (world.router, world.beside) if one is not None]:
                if isinstance(router, Borrows):
                    await router.give_back()
        case LeaveRouter():
            await _beside(world).reset(action.revision)
        case _:
            assert_never(action)


def _beside(world: World) -> Router:
    if world.beside is None:
        raise RouterError(world.observation.trouble_beside)
    return world.beside


async def _ensure(router: Router, weights: Weights) -> None:
    try:
        await router.ensure(weights)
    except InvalidError as error:
        raise RouterError(f"the API server refuses the route: {error}") from error
