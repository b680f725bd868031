"""What the Gateways of a route can do, as the status of their GatewayClasses says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from controller.api.resources import GATEWAY_CLASSES, GATEWAYS
from controller.api.text import one_line
from controller.kube.client import KubeError
from controller.kube.host_names import parent_identity
from controller.ports import KubeApi, Lack

MIRROR = "HTTPRouteRequestMirror"
PERCENTAGE = "HTTPRouteRequestPercentageMirror"
MULTIPLE = "HTTPRouteRequestMultipleMirrors"
_SHOWN = 200


async def lacked(
    kube: KubeApi, parents: Iterable[Mapping[str, Any]], home: str, features: Sequence[str]
) -> Lack | None:
    """The first of `features` that one of `parents` does not have, or may not have. `home`: namespace of the route."""
    uncertain: Lack | None = None
    for kind, namespace, name in dict.fromkeys(parent_identity(parent, home)[:3] for parent in parents):
        if kind != "Gateway":
            return Lack(f"{kind} {namespace}/{name} has no GatewayClass that says whether it can copy requests")
        try:
            lack = await _lacked_by(kube, f"{namespace}", f"{name}", features)
        except KubeError as error:
            # as with a right that is missing: a pass that only takes work away does not depend on it
            said = one_line(str(error), _SHOWN)
            lack = Lack(f"what Gateway {namespace}/{name} can do cannot be read: {said}", is_certain=False)
        if lack is not None and lack.is_certain:
            return lack
        uncertain = uncertain or lack
    return uncertain


async def _lacked_by(kube: KubeApi, namespace: str, name: str, features: Sequence[str]) -> Lack | None:
    """Raises KubeError."""
    gateway = await kube.find(GATEWAYS, namespace, name)
    if gateway is None:
        return Lack(f"Gateway {namespace}/{name} does not exist", is_certain=False)
    named = str((gateway.get("spec") or {}).get("gatewayClassName", ""))
    found = await kube.find(GATEWAY_CLASSES, None, named)
    if found is None:
        return Lack(f"GatewayClass {named} of Gateway {namespace}/{name} does not exist", is_certain=False)
    status = found.get("status") or {}
    if not _is_accepted(status):
        return Lack(f"no controller has accepted GatewayClass {named} yet", is_certain=False)
    supported = _names(status.get("supportedFeatures"))
    if not supported:
        return Lack(f"GatewayClass {named} does not list what it supports (status.supportedFeatures)")
    missing = next((feature for feature in features if feature not in supported), None)
    return None if missing is None else Lack(f"GatewayClass {named} does not support {missing}")


def _is_accepted(status: Mapping[str, Any]) -> bool:
    conditions = [one for one in status.get("conditions") or [] if isinstance(one, Mapping)]
    return any((one.get("type"), one.get("status")) == ("Accepted", "True") for one in conditions)


def _names(features: Any) -> set[str]:
    """Objects with a name; strings before Gateway API 1.2."""
    found = features if isinstance(features, list) else []
    return {str(one.get("name", "")) if isinstance(one, Mapping) else str(one) for one in found}
