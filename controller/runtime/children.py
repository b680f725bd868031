"""What the objects of a Release say of its versions: pure, from what was read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from controller.api import times
from controller.api.names import RELEASE_LABEL, REVISION_LABEL
from controller.api.revision import same_ports
from controller.kube.config_maps import Copy
from controller.kube.made import edited, is_recorded, recorded_copies
from controller.kube.objects import Key, selector
from controller.rollout.observation import NOTHING_RUNS, STRANGE, RevisionState
from controller.runtime.pods import trouble_of
from controller.runtime.versions import Ports, ports_of

_SERVICE_NAME_LABEL = "kubernetes.io/service-name"
_NO_COPY = Copy("", "")


def lacks_pods(deployment: Mapping[str, Any]) -> bool:
    return bool(deployment["spec"].get("replicas", 1) > deployment.get("status", {}).get("readyReplicas", 0))


def state_of(
    deployment: Mapping[str, Any],
    *,
    as_made: tuple[bool, str],
    has_service: bool,
    endpoints: int,
    unreached_s: float,
    pods: list[dict[str, Any]],
) -> RevisionState:
    if "deletionTimestamp" in deployment["metadata"]:
        return NOTHING_RUNS
    return RevisionState(
        wanted=int(deployment["spec"].get("replicas", 1)),
        ready=int(deployment.get("status", {}).get("readyReplicas", 0)),
        endpoints=endpoints,
        unreached_s=unreached_s,
        complete=has_service,
        trouble=trouble_of(pods, deployment),
        as_made=as_made[0],
        edited=as_made[1],
        made_at=times.from_text(deployment["metadata"]["creationTimestamp"]),
    )


def as_made(
    key: Key,
    revision: str,
    deployment: Mapping[str, Any],
    service: Mapping[str, Any] | None,
    copies: Mapping[str, Copy] | None,
) -> tuple[bool, str]:
    """Whether a revision's objects are as they were made, and what somebody has changed."""
    if service is None:
        return True, ""  # the revision is made whole first
    changed = edited(key, revision, deployment, service)
    if changed:
        return False, changed
    if copies is not None and any(copies.get(name, _NO_COPY).uid != uid for name, uid in recorded_copies(service)):
        return False, ""  # the pods that run have what they read
    status = deployment.get("status", {})
    if status.get("replicas", 0) > status.get("updatedReplicas", 0):
        # the template is the right one again, and not all pods are of it
        return is_recorded(service), f"Deployment {key.namespace}/{deployment['metadata']['name']}"
    return is_recorded(service), ""


def ready_endpoints(slices: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Distinct ready addresses per Service; an IPv4 and an IPv6 slice of one Service name the same pods."""
    seen: dict[str, set[str]] = {}
    for piece in slices:
        name = piece["metadata"]["labels"].get(_SERVICE_NAME_LABEL, "")
        for endpoint in piece.get("endpoints") or []:
            if endpoint.get("conditions", {}).get("ready", True):
                pod = endpoint.get("targetRef", {}).get("uid") or endpoint["addresses"][0]
                seen.setdefault(name, set()).add(pod)
    return Counter({name: len(pods) for name, pods in seen.items()})


def selected(service: Mapping[str, Any] | None, name: str, ports: Mapping[str, Ports], stable: str) -> str | None:
    """A selector that says anything else, or that has another version's ports, selects none of our revisions."""
    if service is None or RELEASE_LABEL not in (service["metadata"].get("labels") or {}):
        return None  # made, or labelled again, before anything is given work through it
    selects = service["spec"].get("selector") or {}
    revision = str(selects.get(REVISION_LABEL, ""))
    wanted = selector(name, revision) if revision else {RELEASE_LABEL: name}
    meant = ports.get(revision or stable)
    as_meant = selects == wanted and (meant is None or same_ports(ports_of(service), meant))
    return revision if as_meant else STRANGE
