"""Who wrote an object, as its managedFields tell."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from controller.api import times
from controller.api.names import MANAGED_BY


@dataclass(frozen=True, order=True)
class Manager:
    """As managedFields tell managers apart: one that applies and also updates is two of them."""

    name: str
    operation: str
    """Apply or Update."""


def other_writer(metadata: Mapping[str, Any]) -> str:
    """The manager that wrote it last beside Pointsman; '' where there is none. What writes a status does not count."""
    latest = max(_of_others(metadata), key=lambda entry: str(entry.get("time", "")), default=None)
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


def managers_of(metadata: Mapping[str, Any], field: str) -> set[Manager]:
    """Who has the field `field` of its spec, beside Pointsman."""
    return {_manager(entry) for entry in _of_others(metadata) if f"f:{field}" in _spec_fields(entry)}


def with_managers(item: Mapping[str, Any], field: str, managers: Iterable[Manager]) -> list[dict[str, Any]]:
    """Its managedFields, by which nothing of the object is Pointsman's, and the field `field` of its spec is theirs.

    A field stays with who has written it last, and whoever applies the object then is answered a conflict. The API
    server adds to them what the same write changes: so they go with one that changes nothing of the spec.
    """
    entries: dict[Manager, list[dict[str, Any]]] = {}
    for entry in _of_others(item["metadata"]):
        entries.setdefault(_manager(entry), []).append(copy.deepcopy(dict(entry)))
    for manager in sorted(managers):
        # one whose last field was taken away has no entry any longer
        (first, *_) = entries.setdefault(manager, [_entry(manager, item["apiVersion"])])
        fields = first.setdefault("fieldsV1", {}).setdefault("f:spec", {})
        fields.setdefault(f"f:{field}", {})
    kept = [dict(entry) for entry in item["metadata"].get("managedFields") or [] if entry.get("subresource")]
    # of an empty list the API server takes what it has itself
    return [*(one for each in entries.values() for one in each), *kept] or [{}]


def _of_others(metadata: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [
        entry
        for entry in metadata.get("managedFields") or []
        if entry.get("manager") != MANAGED_BY and not entry.get("subresource")
    ]


def _spec_fields(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    fields: Mapping[str, Any] = (entry.get("fieldsV1") or {}).get("f:spec") or {}
    return fields


def _manager(entry: Mapping[str, Any]) -> Manager:
    return Manager(str(entry.get("manager", "")), str(entry.get("operation", "")))


def _entry(manager: Manager, api_version: str) -> dict[str, Any]:
    of = {"manager": manager.name, "operation": manager.operation, "apiVersion": api_version}
    return {**of, "fieldsType": "FieldsV1", "fieldsV1": {}}
