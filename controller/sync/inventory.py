"""What was applied, as the status keeps it: a line for each object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from controller.sync.manifests import ObjectId, digest_of

MOST_OBJECTS = 5_000
MOST_CHARACTERS = 1_000_000
"""An object in the API server has room for 1.5 MiB."""
_FIELDS = 4
UNKNOWN = "-"
MANAGER = "pointsman-sync"
"""In managedFields."""


@dataclass(frozen=True)
class Entry:
    version: str
    digest: str = UNKNOWN
    """Of the manifest as it was applied."""
    state: str = UNKNOWN
    """Of the object after that, as `state_of` says it."""

    def api_version_of(self, key: ObjectId) -> str:
        return f"{key.group}/{self.version}" if key.group else self.version

    @property
    def is_applied(self) -> bool:
        """At least once; else it may have been, and may not."""
        return self.digest != UNKNOWN


Inventory = Mapping[ObjectId, Entry]


def state_of(metadata: Mapping[str, Any]) -> str:
    """Which object it is, and which of its fields are ours.

    Whoever changes one of them, takes it out or takes it over becomes its owner in managedFields. So this stays the
    same as long as all is as it was applied, whatever else of the object changes, its status and its version included.
    """
    fields = [
        entry.get("fieldsV1")
        for entry in metadata.get("managedFields") or ()
        if entry.get("manager") == MANAGER and entry.get("operation") == "Apply" and not entry.get("subresource")
    ]
    return f"{str(metadata.get('uid', ''))[:8]}.{digest_of(fields)}"


def has_replicas(metadata: Mapping[str, Any]) -> bool:
    """Whether its replicas were applied."""
    return any(
        "f:replicas" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
        for entry in metadata.get("managedFields") or ()
        if entry.get("manager") == MANAGER and entry.get("operation") == "Apply"
    )


def to_lines(inventory: Inventory) -> list[str]:
    return [f"{'/'.join(key)} {entry.version} {entry.digest} {entry.state}" for key, entry in sorted(inventory.items())]


def from_lines(lines: Iterable[Any]) -> dict[ObjectId, Entry]:
    """What is no line is passed over: a person has edited the status."""
    found = {}
    for line in lines:
        parts = line.split(" ") if isinstance(line, str) else []
        names = parts[0].split("/") if len(parts) == _FIELDS else []
        if len(names) == _FIELDS:
            found[ObjectId(*names)] = Entry(*parts[1:])
    return found
