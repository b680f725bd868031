"""What runs already and is taken over: pure, from the objects as they were read.

What is changed of them is kept beside, in an annotation and by the same write: so it can be given back whatever became
of the Release, its status, or the operator.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from controller.api.names import BEFORE, RELEASE_LABEL
from controller.api.resources import RELEASES
from controller.kube.objects import Key
from controller.kube.writers import without_pointsman


def is_adopted(metadata: Mapping[str, Any]) -> bool:
    """It was there before the Release: it is given back, and never deleted."""
    return BEFORE in (metadata.get("annotations") or {})


def taking(found: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A merge patch of its spec that remembers what it changes. What was remembered before stays."""
    annotation: dict[str, Any] = {}
    if not is_adopted(found["metadata"]):
        before = {key: found["spec"].get(key) for key in changes}
        annotation = {"annotations": {BEFORE: json.dumps(before, sort_keys=True, separators=(",", ":"))}}
    return {
        "metadata": {"resourceVersion": found["metadata"]["resourceVersion"], **annotation},
        "spec": {key: _instead(found["spec"].get(key), value) for key, value in changes.items()},
    }


def returning(found: Mapping[str, Any]) -> dict[str, Any]:
    """A merge patch of its spec to what it was, and of nothing else: see `without_marks`, which follows. Raises
    ValueError where what is remembered cannot be read.
    """
    before = json.loads(found["metadata"]["annotations"][BEFORE])
    if not isinstance(before, dict):
        raise ValueError("it is no object")  # noqa: TRY004 - of what somebody may have written there
    return {
        "metadata": {"resourceVersion": found["metadata"]["resourceVersion"]},
        "spec": {key: _instead(found["spec"].get(key), value) for key, value in before.items()},
    }


def without_marks(found: Mapping[str, Any], *labels: str) -> dict[str, Any]:
    """A merge patch of what has been returned: it loses what was remembered, these labels, and Pointsman as the owner
    of its fields.
    """
    metadata = found["metadata"]
    patch: dict[str, Any] = {"resourceVersion": metadata["resourceVersion"], "annotations": {BEFORE: None}}
    if labels:
        patch["labels"] = dict.fromkeys(labels)
    if metadata.get("managedFields"):
        patch["managedFields"] = without_pointsman(metadata)
    return {"metadata": patch}


def taken_service(key: Key, found: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """`patch`: what makes it select a version. Its own labels stay, by which Helm knows it."""
    taken = taking(found, {"selector": {}, "ports": []})
    metadata = {**taken["metadata"], "labels": {RELEASE_LABEL: key.name}}
    return {"metadata": metadata, "spec": patch["spec"]}


def _instead(now: Any, wanted: Any) -> Any:
    """In a merge patch what is not named stays."""
    if isinstance(now, Mapping) and isinstance(wanted, Mapping):
        return dict.fromkeys(now) | dict(wanted)
    return wanted


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector, as a Deployment has it, selects these labels."""
    if not all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_expressed(one, labels) for one in selector.get("matchExpressions") or [])


def _expressed(one: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = one["key"], one.get("values") or []
    match one["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def selected_by(service: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Without a selector it selects nothing."""
    selector = service["spec"].get("selector") or {}
    return bool(selector) and matches({"matchLabels": selector}, labels)


def pod_labels(deployment: Mapping[str, Any]) -> Mapping[str, str]:
    return deployment["spec"]["template"].get("metadata", {}).get("labels") or {}


def owned_by(metadata: Mapping[str, Any]) -> str:
    """Kind and name of the controller that keeps an object as it wants it; empty where there is none."""
    owner = next((one for one in metadata.get("ownerReferences") or [] if one.get("controller")), None)
    return "" if owner is None else f"{owner['kind']} {owner['name']}"


def deployment_refused(deployment: Mapping[str, Any] | None, where: str) -> str:
    """Why it cannot be taken over. `where`: its namespace and name."""
    if deployment is None:
        return f"spec.adopt.deployment: Deployment {where} does not exist. Correct the name, or leave spec.adopt out."
    release = (deployment["metadata"].get("labels") or {}).get(RELEASE_LABEL)
    if release:
        return f"spec.adopt.deployment: Deployment {where} is a version of Release {release}. Name another one."
    owner = owned_by(deployment["metadata"])
    if owner:
        return (
            f"spec.adopt.deployment: Deployment {where} belongs to {owner}, which would scale it up again. "
            f"Adopt what {owner} stands for, or take the Deployment from it."
        )
    return ""


def service_refused(
    service: Mapping[str, Any],
    deployment: Mapping[str, Any],
    pods: Iterable[Mapping[str, Any]],
    *,
    with_ports: bool,
    release: str,
) -> str:
    """Why Service NAME cannot be taken over. `pods`: those that it selects. `with_ports`: as spec.service has them."""
    metadata, spec = service["metadata"], service["spec"]
    where = f"Service {metadata['namespace']}/{metadata['name']}"
    name = deployment["metadata"]["name"]
    other, owner = (metadata.get("labels") or {}).get(RELEASE_LABEL), owned_by(metadata)
    leave = "set spec.adopt.service: false and give the Release another name"
    if other and other != release:
        return f"{where} belongs to Release {other}. To leave it, {leave}."
    if owner:
        return f"{where} belongs to {owner}, which would put its selector back. To leave it, {leave}."
    if spec.get("type") == "ExternalName":
        return f"{where} is an ExternalName: it has no pods to be moved from. To leave it, {leave}."
    if not spec.get("selector"):
        return f"{where} has no selector: somebody else writes its endpoints. Give it one, or {leave}."
    if bool(spec.get("ports")) is not with_ports:
        lacks = "Release has no spec.service.ports" if spec.get("ports") else f"{where} has no ports"
        return f"{lacks}, so {where} cannot be taken over. Name its ports in both, or {leave}."
    if not selected_by(service, pod_labels(deployment)):
        return f"{where} does not select the pods of Deployment {name}. Name the one that it selects, or {leave}."
    stranger = next((pod for pod in pods if _is_strange(pod, deployment, release)), None)
    if stranger is not None:
        of = owned_by(stranger["metadata"])
        whose = f" of {of}" if of else ""
        return (
            f"{where} also selects pod {stranger['metadata']['name']}{whose}, which is not of Deployment {name} and "
            "would lose its requests. Narrow the Service's selector, or end those pods."
        )
    return ""


def _is_strange(pod: Mapping[str, Any], deployment: Mapping[str, Any], release: str) -> bool:
    labels = pod["metadata"].get("labels") or {}
    over = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    return not over and labels.get(RELEASE_LABEL) != release and not matches(deployment["spec"]["selector"], labels)


def scales(autoscaler: Mapping[str, Any], kind: str, name: str) -> bool:
    target = autoscaler["spec"]["scaleTargetRef"]
    return (target.get("kind"), target.get("name")) == (kind, name)


def scale_target(key: Key) -> dict[str, str]:
    return {"apiVersion": RELEASES.api_version, "kind": RELEASES.kind, "name": key.name}
