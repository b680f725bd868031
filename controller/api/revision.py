"""The name of a version: a hash of what the user wrote, and of where.

What is versioned is the template, the content of the ConfigMaps that it names, and the service's ports: callers depend
on them, and they come out together. Cluster, namespace and name are part of it, so counts of two clusters or
namespaces that share one InfluxDB can never be added together.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from controller.api.names import RESTARTED_AT

HASH_VERSION = 2
CONFIGURED_HASH_VERSION = 3
"""Of versions with configuration. Those without keep the names that they have had."""
BASELINE_HASH_VERSION = 4
_LETTERS = 10
_TEXTS = frozenset({"labels", "annotations", "matchLabels", "nodeSelector", "requests", "limits"})
"""Texts by names that users choose; without entries they are as absent."""


def canonical_template(template: Mapping[str, Any]) -> dict[str, Any]:
    """The template as it counts: without what `kubectl rollout restart` writes into it, and without what is as absent.

    The API server reads `volumes: []`, `labels: {}` and `args:` with nothing after it like a template without them.
    """
    return _without_restart(_without_empty(template))


def _without_restart(template: Mapping[str, Any]) -> dict[str, Any]:
    counted: dict[str, Any] = copy.deepcopy(dict(template))
    metadata = counted.get("metadata")
    if isinstance(metadata, dict):
        if isinstance(metadata.get("annotations"), dict):
            metadata["annotations"].pop(RESTARTED_AT, None)
        if not metadata.get("annotations"):
            metadata.pop("annotations", None)
    if not metadata:
        # an empty one, and none, must be the same: a restart fills it
        counted.pop("metadata", None)
    return counted


def _without_empty(raw: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: item if key in _TEXTS else _kept(item) for key, item in raw.items()}
    return {key: item for key, item in kept.items() if item is not None and item != [] and not _empty(key, item)}


def _kept(item: Any) -> Any:
    if isinstance(item, Mapping):
        return _without_empty(item)
    return [_kept(one) for one in item] if isinstance(item, list) else item


def _empty(key: str, item: Any) -> bool:
    """Most empty objects mean something: `emptyDir: {}`, `namespaceSelector: {}`."""
    return item == {} and (key in _TEXTS or key == "resources")


def canonical_ports(ports: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Ports as they count, and as they can be compared with those of a Service: what is left out is filled in."""
    return [
        {"protocol": "TCP", "targetPort": port["port"]}
        | {name: value for name, value in port.items() if value not in (None, "") and name != "nodePort"}
        for port in ports
    ]


def same_ports(ports: Iterable[Mapping[str, Any]], wanted: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a Service's ports are these; what the API server has added does not count."""
    return canonical_ports(ports) == canonical_ports(wanted)


def same_targets(ports: Iterable[Mapping[str, Any]], others: Iterable[Mapping[str, Any]]) -> bool:
    """Whether pods of both listen on the same ports, so that one Service can send to both."""
    listened, expected = (
        {(port["targetPort"], port["protocol"]) for port in canonical_ports(some)} for some in (ports, others)
    )
    return listened == expected


def revision_of(
    cluster: str, namespace: str, name: str, template: Mapping[str, Any], ports: Sequence[Mapping[str, Any]]
) -> str:
    """Ten base32 letters, lower case, valid in a label and in a DNS name."""
    return _letters([HASH_VERSION, cluster, namespace, name, canonical_template(template), canonical_ports(ports)])


def configured_revision_of(
    cluster: str,
    namespace: str,
    name: str,
    template: Mapping[str, Any],
    ports: Sequence[Mapping[str, Any]],
    configuration: Mapping[str, str | None],
) -> str:
    """`configuration`: by the name of each ConfigMap its digest, "live", or None where the ConfigMap is missing."""
    counted = [canonical_template(template), canonical_ports(ports), dict(configuration)]
    return _letters([CONFIGURED_HASH_VERSION, cluster, namespace, name, *counted])


def first_revision_of(cluster: str, namespace: str, name: str, template: Mapping[str, Any]) -> str:
    """The name that 0.1 gave to a version, without its ports. Those it named keep their names."""
    return _letters([1, cluster, namespace, name, _without_restart(template)])


def baseline_name(stable: str, canary: str, attempt: int) -> str:
    """Of new pods of the stable version, which a canary is compared with in one attempt. What they count is theirs."""
    return _letters([BASELINE_HASH_VERSION, stable, canary, attempt])


def _letters(counted: list[Any]) -> str:
    text = json.dumps(counted, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode()[:_LETTERS].lower()
