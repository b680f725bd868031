"""What a revision's objects were when they were made, kept in its Service, and whether somebody has changed them.

Admission may complete a Deployment (a sidecar, another registry), so what was made is what the API server answered and
not what was sent. Replicas do not count, nor does the annotation of `kubectl rollout restart`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from controller.api.names import COPIES, MADE, RESTARTED_AT
from controller.api.revision import canonical_ports
from controller.kube.objects import Key, labels_of, selector

SPEC_DIGEST = "specDigest"
"""Beside the fields of a cached Deployment, in place of its template."""


def without_replicas(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in spec.items() if name != "replicas"}


def digest_of(spec: Mapping[str, Any]) -> str:
    """Of a Deployment's spec."""
    counted = without_replicas(spec)
    template = counted.get("template") or {}
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    if RESTARTED_AT in annotations:
        left = {name: value for name, value in annotations.items() if name != RESTARTED_AT}
        metadata = {name: value for name, value in template["metadata"].items() if name != "annotations"}
        metadata |= {"annotations": left} if left else {}
        counted["template"] = {**template, "metadata": metadata}
    return _digest(counted)


def spec_digest(deployment: Mapping[str, Any]) -> str:
    """Of a Deployment as it was read, whole or cached."""
    kept = deployment.get(SPEC_DIGEST)
    return digest_of(deployment["spec"]) if kept is None else str(kept)


def record_of(spec_digest: str, ports: Iterable[Mapping[str, Any]]) -> str:
    """What annotation `pointsman.dev/made` of a revision's Service says."""
    return f"{spec_digest}.{_digest(canonical_ports(ports))}"


def recorded(service: Mapping[str, Any]) -> str:
    return str((service["metadata"].get("annotations") or {}).get(MADE, ""))


def is_recorded(service: Mapping[str, Any]) -> bool:
    return bool(recorded(service))


def record_of_copies(copies: Mapping[str, str]) -> str:
    """What annotation `pointsman.dev/copies` of a revision's Service says, of the UID of each by its name."""
    return " ".join(f"{name}={uid}" for name, uid in sorted(copies.items()))


def recorded_copies(service: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and UID of each."""
    record = str((service["metadata"].get("annotations") or {}).get(COPIES, ""))
    return [(name, uid) for name, _, uid in (each.partition("=") for each in record.split())]


def edited(key: Key, revision: str, deployment: Mapping[str, Any], service: Mapping[str, Any]) -> str:
    """Kind and name of what somebody has changed; empty where all is as it was made, or nothing was recorded."""
    name = deployment["metadata"]["name"]
    made, spec = recorded(service), service["spec"]
    if made and made.partition(".")[0] != spec_digest(deployment):
        return f"Deployment {key.namespace}/{name}"
    wanted = labels_of(key, revision)
    if not _has(deployment, wanted):
        return f"Deployment {key.namespace}/{name}"
    ports = spec.get("ports") or ()
    as_made = not made or made.partition(".")[2] == _digest(canonical_ports(ports))
    if not as_made or spec.get("selector") != selector(key.name, revision) or not _has(service, wanted):
        return f"Service {key.namespace}/{name}"
    return ""


def _has(item: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    return labels.items() <= (item["metadata"].get("labels") or {}).items()


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
