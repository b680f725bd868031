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


def without_pointsman(metadata: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Its managedFields, by which nothing of the object is Pointsman's.

    A field stays with who has written it last, and whoever applies the object then is answered a conflict. The API
    server adds to them what the same write changes: so they go with one that changes nothing of the spec.
    """
    entries = metadata.get("managedFields") or []
    kept: list[dict[str, Any]] = [
        copy.deepcopy(dict(one)) for one in entries if one.get("manager") != MANAGED_BY or one.get("subresource")
    ]
    # of an empty list the API server takes what it has itself
    return kept or [{}]


def with_managers(item: Mapping[str, Any], field: str, managers: Iterable[Manager]) -> list[dict[str, Any]]:
    """As `without_pointsman`, and the field `field` of its spec is theirs."""
    entries = [entry for entry in without_pointsman(item["metadata"]) if entry]
    for manager in sorted(managers):
        theirs = [one for one in entries if _manager(one) == manager and not one.get("subresource")]
        if not theirs:
            # one whose last field was taken away has no entry any longer
            theirs = [_entry(manager, item["apiVersion"])]
            entries += theirs
        fields = theirs[0].setdefault("fieldsV1", {}).setdefault("f:spec", {})
        fields.setdefault(f"f:{field}", {})
    return entries or [{}]


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
