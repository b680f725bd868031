"""What people see of a pass that could not be finished, and when it is tried again."""

from __future__ import annotations

from typing import assert_never

from controller.api.phase import Phase
from controller.api.reasons import Reason
from controller.api.status import Blocked
from controller.ports import RouterError, TakenError
from controller.runtime.executor import NameTakenError, RefusedError, TemplateLostError
from controller.runtime.observer import World

ROUTER_AGAIN_S = 5.0
_TRIED_AGAIN_S = 15.0
_REFUSED_AGAIN_S = 60.0


def refused_by_router(error: RouterError) -> Blocked:
    return Blocked(Reason.ROUTE_TAKEN if isinstance(error, TakenError) else Reason.ROUTER_REFUSED, str(error))


def blocked_by(
    world: World, error: RefusedError | TemplateLostError | NameTakenError | RouterError
) -> tuple[Blocked, float | None]:
    """What people see, and after how many seconds it is tried again."""
    revision, superseded = world.observation.target, world.observation.spec_revision != world.observation.target
    match error:
        case RouterError():
            return refused_by_router(error), ROUTER_AGAIN_S
        case NameTakenError():
            return Blocked(Reason.NAME_TAKEN, str(error), revision=revision), _TRIED_AGAIN_S
        case TemplateLostError():
            blocked = Blocked(Reason.TEMPLATE_REFUSED, f"spec.template: {error}", Phase.INVALID, revision)
            return blocked, ROUTER_AGAIN_S if superseded else None
        case RefusedError():
            # quota or admission may change their minds soon, and a webhook that refused may have been wrong
            again_in = _TRIED_AGAIN_S if error.forbidden else _REFUSED_AGAIN_S
            blocked = Blocked(Reason.TEMPLATE_REFUSED, str(error), Phase.INVALID, revision)
            return blocked, ROUTER_AGAIN_S if superseded else again_in
        case _:
            assert_never(error)
