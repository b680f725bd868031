"""What people see of a pass that could not be finished, and when it is tried again."""

from __future__ import annotations

from typing import assert_never

from controller.api.phase import Phase
from controller.api.reasons import Reason
from controller.api.status import Blocked
from controller.backoff import delay_s, spread_s
from controller.ports import RouterError, TakenError
from controller.runtime.observer import World
from controller.runtime.refusals import NameTakenError, RefusedError, TemplateLostError

_FIRST_S, _LONGEST_S = 2.5, 20.0
"""A router's trouble is often that of all Releases on it, and a rollback may wait for its end."""
_NEXT_S = 5.0
"""The spec asks for another version already, which nothing wakes."""
_LOST_S = 0.1
"""Who is left takes its work with the next decision."""
_TRIED_AGAIN_S = 15.0
_REFUSED_AGAIN_S = 60.0


def router_again_in(failures: int) -> float:
    """Seconds after the refusal number `failures` in a row, counted from 0."""
    return delay_s(failures, first_s=_FIRST_S, longest_s=_LONGEST_S)


def refused_by_router(error: RouterError) -> Blocked:
    return Blocked(Reason.ROUTE_TAKEN if isinstance(error, TakenError) else Reason.ROUTER_REFUSED, str(error))


def blocked_by(
    world: World, error: RefusedError | TemplateLostError | NameTakenError | RouterError, failures: int
) -> tuple[Blocked, float | None]:
    """What people see, and after how many seconds it is tried again. `failures`: those before, in a row."""
    revision, superseded = world.observation.target, world.observation.spec_revision != world.observation.target
    match error:
        case RouterError():
            return refused_by_router(error), router_again_in(failures)
        case NameTakenError():
            return Blocked(Reason.NAME_TAKEN, str(error), revision=revision), spread_s(_TRIED_AGAIN_S)
        case TemplateLostError() if _is_lost_stable(world, error.revision):
            waits = world.observation.status.is_rejected(world.observation.target)
            again_in = spread_s(_TRIED_AGAIN_S) if waits else _LOST_S
            return Blocked(Reason.STABLE_LOST, str(error), Phase.INVALID, error.revision), again_in
        case TemplateLostError():
            blocked = Blocked(Reason.TEMPLATE_REFUSED, f"spec.template: {error}", Phase.INVALID, revision)
            return blocked, spread_s(_NEXT_S) if superseded else None
        case RefusedError():
            # quota or admission may change their minds soon, and a webhook that refused may have been wrong
            again_in = _TRIED_AGAIN_S if error.forbidden else _REFUSED_AGAIN_S
            blocked = Blocked(Reason.TEMPLATE_REFUSED, str(error), Phase.INVALID, revision)
            return blocked, spread_s(_NEXT_S if superseded else again_in)
        case _:
            assert_never(error)


def _is_lost_stable(world: World, revision: str) -> bool:
    """Nothing runs of it either."""
    return revision == world.observation.status.stable and not world.observation.state(revision).exists
