"""What a pass reads of a Release's routers: of the one that has the traffic, and of one that is taken or left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from controller import registry
from controller.api.release import ReleaseSpec
from controller.ports import Borrows, DependsOnCluster, Router, RouterError, Weights
from controller.rollout.preview import reach_of
from controller.rollout.sizing import Sizing


@dataclass(frozen=True)
class ObservedRouter:
    kind: str
    router: Router
    weights: Weights | None

    @property
    def is_by_weight(self) -> bool:
        return registry.modules("routers")[self.kind].SIZING is Sizing.BY_WEIGHT

    @property
    def leads(self) -> bool:
        """Whether it has something to give back with what is adopted: a route that is split, or its own."""
        held = holds(self.router)
        return held if held is not None else self.is_by_weight and bool(self.shares)

    @property
    def shares(self) -> Mapping[str, float] | None:
        return None if self.weights is None else self.weights.shares


@dataclass(frozen=True)
class Beside:
    """The second router, where there is one and it can be read."""

    observed: ObservedRouter | None = None
    trouble: str = ""
    """Why it cannot be read, in a sentence."""

    @property
    def router(self) -> Router | None:
        return None if self.observed is None else self.observed.router

    @property
    def shares(self) -> Mapping[str, float] | None:
        return None if self.observed is None else self.observed.shares

    @property
    def holds(self) -> bool:
        return self.router is not None and holds(self.router) is True

    @property
    def not_accepted(self) -> str:
        weights = None if self.observed is None else self.observed.weights
        return "" if weights is None else weights.signs.refused or weights.signs.unanswered


async def observed(kind: str, router: Router, *, leaves: bool) -> ObservedRouter:
    """`leaves`: a router that is left for another one, and does not answer, keeps nobody from the one in the spec.
    Raises KubeError, RouterError.
    """
    try:
        return ObservedRouter(kind, router, await router.observe())
    except RouterError:
        if not leaves:
            raise
        return ObservedRouter(kind, router, None)


async def observed_beside(kind: str, router: Router) -> Beside:
    """What is wrong there keeps nobody from the router that has the traffic. Raises KubeError."""
    try:
        return Beside(ObservedRouter(kind, router, await router.observe()))
    except RouterError as error:
        return Beside(trouble=str(error))


async def lacked(router: Router, spec: ReleaseSpec) -> tuple[str, str]:
    """What a step needs and the cluster cannot do; and why that is not known, where it is not."""
    if not isinstance(router, DependsOnCluster):
        return "", ""
    in_doubt = ""
    for index, step in enumerate(spec.steps):
        reach = reach_of(step)
        lack = None if reach is None else await router.lacks(reach)
        if lack is not None and lack.is_certain:
            return f"spec.strategy.{spec.strategy_kind}.steps[{index}]: {lack.message}", ""
        in_doubt = in_doubt or ("" if lack is None else lack.message)
    return "", in_doubt


def holds(router: Router) -> bool | None:
    return router.holds if isinstance(router, Borrows) else None
