"""`replicas`: Service NAME selects the pods of both versions, so their number is the split.

For callers inside the cluster without a router. The share is approximate; the test conditions on the share that
was seen, so that costs power and not validity.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from controller.api.fields import record
from controller.api.names import RELEASE_LABEL, REVISION_LABEL
from controller.api.resources import DEPLOYMENTS, SERVICES, Rule
from controller.api.revision import same_ports, same_targets
from controller.kube.objects import Key, child_revision, is_ours, taken
from controller.kube.writers import other_writer
from controller.ports import KubeApi, RoutedService, RouterContext, RouterError, RouterSigns, TakenError, Weights
from controller.rollout.sizing import Sizing

KIND = "replicas"
SIZING = Sizing.BY_PODS
WATCHES = (SERVICES,)
RULES = (Rule(SERVICES, ("get", "list", "watch", "update")), Rule(DEPLOYMENTS, ("list",)))
EXAMPLE: dict[str, Any] = {}


@record("By pod count: Service NAME selects both versions. For callers inside the cluster that use no router.")
class Config:
    pass


def create(config: Config | None, target: RoutedService, context: RouterContext) -> ReplicasRouter:
    del config
    return ReplicasRouter(target, context.kube)


class ReplicasRouter:
    def __init__(self, target: RoutedService, kube: KubeApi) -> None:
        self._target = target
        self._kube = kube
        self._service: dict[str, Any] | None = None

    async def observe(self) -> Weights | None:
        self._service = await self._kube.find(SERVICES, self._target.namespace, self._target.name)
        if self._service is None:
            return None
        selector = self._service["spec"].get("selector") or {}
        signs = RouterSigns(edited_by=other_writer(self._service["metadata"]))
        if REVISION_LABEL in selector:
            return Weights({selector[REVISION_LABEL]: 100.0}, signs=signs)
        labelled = await self._kube.list(
            DEPLOYMENTS, self._target.namespace, labels=f"{RELEASE_LABEL}={self._target.name}"
        )
        key = Key(self._target.namespace, self._target.name)
        wanted = {
            revision: int(item.get("spec", {}).get("replicas") or 0)
            for item in labelled
            if (revision := child_revision(key, item))
        }
        total = sum(wanted.values())
        return Weights(
            {revision: count * 100 / total for revision, count in wanted.items() if count} if total else {}, signs=signs
        )

    async def ensure(self, weights: Weights) -> bool:
        if self._service is None:
            raise RouterError(f"Service {self._target.name} is missing; it is created again in the next pass")
        if not is_ours(self._service["metadata"], self._target.name, self._target.owner):
            raise TakenError(taken(SERVICES, self._target.namespace, self._target.name))
        served = [revision for revision, share in weights.shares.items() if share > 0]
        selector = {RELEASE_LABEL: self._target.name}
        if len(served) == 1:
            selector[REVISION_LABEL] = served[0]
        ports = self._ports(served, weights.stable)
        spec = self._service["spec"]
        if spec.get("selector") == selector and same_ports(spec.get("ports") or (), ports):
            return False
        service = copy.deepcopy(self._service)
        service["spec"] |= {"selector": selector, "ports": [dict(port) for port in ports]}
        self._service = await self._kube.replace(SERVICES, service)
        return True

    async def reset(self, stable: str) -> None:
        """Service NAME is the Release's own, and stays."""
        service = self._service
        if service is not None and is_ours(service["metadata"], self._target.name, self._target.owner):
            await self.ensure(Weights({stable: 100.0}, stable=stable))

    def _ports(self, served: list[str], stable: str) -> tuple[Mapping[str, Any], ...]:
        """Of the Service: those of the version that it selects, and of stable while it selects both."""
        ports = self._target.ports_of(served[0] if len(served) == 1 else stable or served[0])
        for revision in served:
            if not same_targets(self._target.ports_of(revision), ports):
                raise RouterError(
                    f"Service {self._target.name} cannot serve both versions: their targetPorts differ. Give the "
                    "containers' ports a name, and use that name as targetPort in both versions."
                )
        return ports
