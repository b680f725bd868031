"""The name of a version: a hash of what the user wrote, and of where.

Cluster, namespace and name are part of it, so counts of two clusters or namespaces that share one InfluxDB can
never be added together.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from controller.api.names import RESTARTED_AT

HASH_VERSION = 1
_LETTERS = 10


def canonical_template(template: Mapping[str, Any]) -> dict[str, Any]:
    """The template as it counts: without what `kubectl rollout restart` writes into it."""
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


def revision_of(cluster: str, namespace: str, name: str, template: Mapping[str, Any]) -> str:
    """Ten base32 letters, lower case, valid in a label and in a DNS name."""
    text = json.dumps(
        [HASH_VERSION, cluster, namespace, name, canonical_template(template)],
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=True,
    )
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode()[:_LETTERS].lower()
