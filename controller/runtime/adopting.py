"""Reads what spec.adopt takes over, takes it, and gives it back. Each write carries the version it was decided on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, assert_never

from controller.api.names import RELEASE_LABEL
from controller.api.release import ReleaseSpec
from controller.api.resources import DEPLOYMENTS, HORIZONTAL_POD_AUTOSCALERS, PODS, RELEASES, SERVICES, Resource
from controller.api.status import Status
from controller.kube.adopting import (
    deployment_refused,
    is_adopted,
    returning,
    scale_target,
    scales,
    service_refused,
    taking,
    without_marks,
)
from controller.kube.cache import ObjectCache
from controller.kube.objects import Key
from controller.ports import Borrows
from controller.rollout.actions import GiveBack, RestAdopted, TakeAutoscalers
from controller.rollout.observation import Adoption
from controller.runtime.observed_routers import ObservedRouter, holds
from controller.runtime.refusals import NameTakenError

if TYPE_CHECKING:
    from controller.runtime.observer import World


@dataclass(frozen=True)
class Adopted:
    """The objects, as they were read."""

    adoption: Adoption
    deployment: Mapping[str, Any] | None
    service: Mapping[str, Any] | None
    """Service NAME, ours or not."""
    autoscalers: tuple[Mapping[str, Any], ...]
    """Those of the Deployment, and those that were."""

    def beside(self, routers: Sequence[ObservedRouter]) -> Adoption:
        """`routers`: those that may lead to a version, the one in use first. That is to be given back as well."""
        in_use, held = routers[0].router, holds(routers[0].router)
        refused = in_use.refused if isinstance(in_use, Borrows) and held is not None else ""
        taken = self.adoption.holds or any(one.leads for one in routers)
        return replace(self.adoption, holds=taken, refused=self.adoption.refused or ("" if taken else refused))

    def takes(self, service: Mapping[str, Any]) -> bool:
        """Whether it is Service NAME as it was before the Release."""
        return service is self.service and RELEASE_LABEL not in (service["metadata"].get("labels") or {})


async def read_adopted(
    kube: ObjectCache, key: Key, spec: ReleaseSpec, status: Status, service: Mapping[str, Any] | None
) -> Adopted | None:
    """None where nothing is taken over, or all of it is. Raises KubeError."""
    adopt = spec.adopt
    if adopt is None or (status.stable and not status.adopts):
        return None
    deployment = await kube.find(DEPLOYMENTS, key.namespace, adopt.deployment)
    listed = await kube.list(HORIZONTAL_POD_AUTOSCALERS, key.namespace)
    scaling = [one for one in listed if scales(one, DEPLOYMENTS.kind, adopt.deployment)]
    taken = [one for one in listed if scales(one, RELEASES.kind, key.name) and is_adopted(one["metadata"])]
    # it has its target again, and not yet all else
    taken += [one for one in scaling if is_adopted(one["metadata"])]
    scaling = [one for one in scaling if not is_adopted(one["metadata"])]
    # once it is ours all of this was looked at
    ours = service is not None and is_adopted(service["metadata"])
    refused = "" if ours else deployment_refused(deployment, f"{key.namespace}/{adopt.deployment}")
    if service is not None and deployment is not None and adopt.service and not ours and not refused:
        selector = ",".join(f"{label}={value}" for label, value in (service["spec"].get("selector") or {}).items())
        pods = await kube.list(PODS, key.namespace, labels=selector) if selector else []
        refused = service_refused(service, deployment, pods, with_ports=bool(spec.ports), release=key.name)
    adoption = Adoption(
        refused=refused,
        replicas=0 if deployment is None else int(deployment["spec"].get("replicas", 1)),
        autoscaled=bool(scaling),
        holds=bool(taken) or ours,
    )
    return Adopted(adoption, deployment, service, (*scaling, *taken))


class AdoptingExecutor:
    def __init__(self, kube: ObjectCache) -> None:
        self._kube = kube

    async def carry_out(self, world: World, action: TakeAutoscalers | RestAdopted | GiveBack) -> None:
        """Raises KubeError, RouterError, NameTakenError."""
        adopted = world.adopted
        if adopted is None:
            return  # only decided where something is adopted
        match action:
            case TakeAutoscalers():
                await self._take_autoscalers(world, adopted)
            case RestAdopted():
                await self._rest(world, adopted)
            case GiveBack():
                await self._give_back(world, adopted)
            case _:
                assert_never(action)

    async def _take_autoscalers(self, world: World, adopted: Adopted) -> None:
        """The Release's own size first: by it an autoscaler begins."""
        key, metadata = world.key, world.release["metadata"]
        if adopted.adoption.replicas > world.spec.replicas:
            patch = {
                "metadata": {"resourceVersion": metadata["resourceVersion"]},
                "spec": {"replicas": adopted.adoption.replicas},
            }
            answer = await self._kube.patch(RELEASES, key.namespace, key.name, patch)
            metadata["resourceVersion"] = answer["metadata"]["resourceVersion"]
        for one in adopted.autoscalers:
            if not is_adopted(one["metadata"]):
                patch = taking(one, {"scaleTargetRef": scale_target(key)})
                name = one["metadata"]["name"]
                await self._kube.patch(HORIZONTAL_POD_AUTOSCALERS, key.namespace, name, patch)

    async def _rest(self, world: World, adopted: Adopted) -> None:
        if adopted.deployment is not None:
            patch = taking(adopted.deployment, {"replicas": 0})
            name = adopted.deployment["metadata"]["name"]
            await self._kube.patch(DEPLOYMENTS, world.key.namespace, name, patch)

    async def _give_back(self, world: World, adopted: Adopted) -> None:
        """Traffic first."""
        for router in world.by_weight:
            await router.reset("")
        if adopted.service is not None and is_adopted(adopted.service["metadata"]):
            await self._return(SERVICES, adopted.service, RELEASE_LABEL)
        for one in adopted.autoscalers:
            if is_adopted(one["metadata"]):
                await self._return(HORIZONTAL_POD_AUTOSCALERS, one)

    async def _return(self, resource: Resource, found: Mapping[str, Any], *labels: str) -> None:
        """What marks it goes last: until then a pass that follows finds it."""
        namespace, name = found["metadata"]["namespace"], found["metadata"]["name"]
        returned = await self._kube.patch(resource, namespace, name, _returning(resource.kind, found))
        await self._kube.patch(resource, namespace, name, without_marks(returned, *labels))


def _returning(kind: str, found: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return returning(found)
    except ValueError as error:
        where = f"{kind} {found['metadata']['namespace']}/{found['metadata']['name']}"
        message = f"{where}: annotation pointsman.dev/before-adoption cannot be read ({error}). Repair it."
        raise NameTakenError(message) from error
