"""Who wrote an object, as its managedFields tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.api import times
from controller.api.names import MANAGED_BY


def other_writer(metadata: Mapping[str, Any]) -> str:
    """The manager that wrote it last beside Pointsman; '' where there is none. What writes a status does not count."""
    others = [
        entry
        for entry in metadata.get("managedFields") or []
        if entry.get("manager") != MANAGED_BY and not entry.get("subresource")
    ]
    latest = max(others, key=lambda entry: str(entry.get("time", "")), default=None)
    return "" if latest is None else str(latest.get("manager", ""))


def written_at(metadata: Mapping[str, Any]) -> float:
    """When Pointsman wrote it last, or else when it was made, in seconds since the epoch; 0 where nothing says so."""
    ours = [
        str(entry["time"])
        for entry in metadata.get("managedFields") or []
        if entry.get("manager") == MANAGED_BY and not entry.get("subresource") and entry.get("time")
    ]
    latest = max([*ours, str(metadata.get("creationTimestamp") or "")])
    return times.from_text(latest) if latest else 0.0


def spec_writer(metadata: Mapping[str, Any]) -> str:
    """As `other_writer`, of those that have written some of the spec: controllers annotate what they look after."""
    fields = metadata.get("managedFields") or []
    return other_writer({"managedFields": [entry for entry in fields if "f:spec" in (entry.get("fieldsV1") or {})]})
