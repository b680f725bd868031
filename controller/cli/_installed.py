"""What an installation without Helm has put into the cluster: the objects of gitops/install and gitops/sync, by name.

Tests compare this with the manifests. Namespaces stay: Secrets and what others keep there would go with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from controller.api.names import GROUP, MANAGED_BY_LABEL
from controller.api.resources import CRDS, DEPLOYMENTS, LEASES, POD_DISRUPTION_BUDGETS, SERVICES, Resource
from controller.cli._cluster import CommandError
from controller.kube.client import KubeClient, NotFoundError

HOME = "pointsman-system"
_OPERATOR, _SYNC = "pointsman", "pointsman-sync"
_RBAC, _ADMISSION = "rbac.authorization.k8s.io", "admissionregistration.k8s.io"
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
NETWORK_POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
ROLES = Resource(_RBAC, "v1", "roles", "Role")
ROLE_BINDINGS = Resource(_RBAC, "v1", "rolebindings", "RoleBinding")
CLUSTER_ROLES = Resource(_RBAC, "v1", "clusterroles", "ClusterRole")
CLUSTER_ROLE_BINDINGS = Resource(_RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding")
VALIDATING = Resource(_ADMISSION, "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy")
VALIDATING_BINDINGS = Resource(
    _ADMISSION, "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding"
)
MUTATING = Resource(_ADMISSION, "v1", "mutatingadmissionpolicies", "MutatingAdmissionPolicy")
MUTATING_BINDINGS = Resource(_ADMISSION, "v1", "mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding")

_IN_HOME = (
    *((DEPLOYMENTS, name) for name in (_SYNC, _OPERATOR)),
    *((kind, name) for kind in (SERVICES, NETWORK_POLICIES, LEASES) for name in (_OPERATOR, _SYNC)),
    (SERVICES, "pointsman-metrics"),
    (POD_DISRUPTION_BUDGETS, _OPERATOR),
    *((kind, "pointsman-operator") for kind in (ROLE_BINDINGS, ROLES)),
    *((kind, _SYNC) for kind in (ROLE_BINDINGS, ROLES)),
    *((SERVICE_ACCOUNTS, name) for name in (_OPERATOR, _SYNC)),
)
"""Deployments go first: nothing is left that writes without its rights."""
_SYNCED = "default"
"""The namespace for which gitops/sync grants `pointsman-sync` one account."""
_PEOPLE = ("view", "operate", "approve", "edit", "worker", "alerts", "repositories-view", "repositories-edit")
_POLICIES = ("pointsman-releaseactions", "pointsman-releases", "pointsman-approvals", "pointsman-routes")
_IN_CLUSTER = (
    *((kind, name) for name in _POLICIES for kind in (VALIDATING_BINDINGS, VALIDATING)),
    *((kind, "pointsman-author") for kind in (MUTATING_BINDINGS, MUTATING)),
    *((CLUSTER_ROLES, f"pointsman-{name}") for name in _PEOPLE),
    *((kind, _SYNC) for kind in (CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES)),
    *((kind, "pointsman-operator-sources") for kind in (CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES)),
    (CLUSTER_ROLES, "pointsman-operator"),
    (CLUSTER_ROLE_BINDINGS, "pointsman-operator"),
)
"""The last one says which namespace the operator is in, also to who begins again after a failure."""


@dataclass(frozen=True)
class Installed:
    resource: Resource
    namespace: str | None
    name: str
    item: Mapping[str, Any]

    def __str__(self) -> str:
        where = f" in namespace {self.namespace}" if self.namespace else ""
        return f"{self.resource.kind} {self.name}{where}"

    def to_raw(self) -> dict[str, Any]:
        return {"kind": self.resource.kind, "namespace": self.namespace, "name": self.name}


def places(home: str) -> Iterator[tuple[Resource, str | None, str]]:
    """In the order in which they go."""
    yield from ((resource, home, name) for resource, name in _IN_HOME)
    yield from ((kind, _SYNCED, _SYNC) for kind in (ROLE_BINDINGS, ROLES))
    yield from ((resource, None, name) for resource, name in _IN_CLUSTER)


async def home_of(kube: KubeClient, namespace: str | None) -> str:
    """Where the operator is. Raises CommandError where it is in another namespace than the one that was named."""
    binding = await kube.find(CLUSTER_ROLE_BINDINGS, None, "pointsman-operator")
    subjects = (binding or {}).get("subjects") or []
    there = next((str(one["namespace"]) for one in subjects if one.get("namespace")), "")
    if namespace and there and namespace != there:
        raise CommandError(f"the operator is in namespace {there}, not in {namespace}; name that one, or none")
    return namespace or there or HOME


async def installed(kube: KubeClient, home: str) -> list[Installed]:
    """Raises CommandError where Helm has put them there."""
    found = [
        Installed(resource, namespace, name, item)
        for resource, namespace, name in places(home)
        if (item := await kube.find(resource, namespace, name)) is not None
    ]
    for one in found:
        metadata = one.item["metadata"]
        if (metadata.get("labels") or {}).get(MANAGED_BY_LABEL) == "Helm":
            annotations = metadata.get("annotations") or {}
            chart = annotations.get("meta.helm.sh/release-name", "NAME")
            where = annotations.get("meta.helm.sh/release-namespace", home)
            raise CommandError(f"{one} belongs to Helm; take it away with `helm uninstall {chart} -n {where}`")
    return found


async def crds(kube: KubeClient) -> list[Installed]:
    items = await kube.list(CRDS)
    return [Installed(CRDS, None, one["metadata"]["name"], one) for one in items if one["spec"]["group"] == GROUP]


async def count(kube: KubeClient, crd: Installed) -> int:
    """Objects of its kind, which go with it."""
    spec = crd.item["spec"]
    version = next(one["name"] for one in spec["versions"] if one["served"])
    resource = Resource(spec["group"], version, spec["names"]["plural"], spec["names"]["kind"])
    try:
        return len(await kube.list(resource))
    except NotFoundError:
        return 0  # the CRD is being deleted
