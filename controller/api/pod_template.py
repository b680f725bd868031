"""`spec.template`, typed just enough for server-side apply to merge lists by their keys.

Kustomize reads no CRD: `gitops/kustomize` tells it the same.

Everything else is open, because the API server itself judges it as a Pod. So there are no bounds in here either.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.api.fields import Place
from controller.api.shapes import Custom, an_object

_OPEN = "x-kubernetes-preserve-unknown-fields"


def _entries(merged_by: Mapping[str, Mapping[str, Any]], **more: Any) -> dict[str, Any]:
    """The schema of one entry: a field is required where it is a key without a default."""
    properties = {**merged_by, **more}
    required = [key for key, schema in merged_by.items() if "default" not in schema]
    return {"type": "object", "required": required, _OPEN: True, "properties": properties}


def _merged(keys: str, item: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "description": f"Merged by {keys}.",
        "type": "array",
        **more,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": keys.split(" and "),
        "items": item,
    }


_TEXTS = {
    "description": "Texts by their keys.",
    "type": "object",
    "nullable": True,
    "additionalProperties": {"type": "string"},
}
_KEY = {"description": "The key by which entries are merged.", "type": "string"}
_A_KEY = "A key by which entries are merged."
_PORT = _entries(
    {
        "containerPort": {"description": _A_KEY, "type": "integer", "format": "int32"},
        "protocol": {"description": _A_KEY, "type": "string", "default": "TCP"},
    }
)
_NAMED = _entries({"name": _KEY})
_CONTAINER = _entries(
    {"name": _KEY},
    image={
        "description": "By digest or by a tag that does not move; `pointsman validate` refuses `latest`.",
        "type": "string",
    },
    env=_merged("name", _NAMED, nullable=True),
    ports=_merged("containerPort and protocol", _PORT, nullable=True),
    volumeMounts=_merged("mountPath", _entries({"mountPath": _KEY}), nullable=True),
)

_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["spec"],
    _OPEN: True,
    "properties": {
        "metadata": {
            "description": "Labels and annotations of the pods.",
            "type": "object",
            "nullable": True,
            _OPEN: True,
            "properties": {"labels": _TEXTS, "annotations": _TEXTS},
        },
        "spec": {
            "description": "As in a Pod.",
            "type": "object",
            "required": ["containers"],
            _OPEN: True,
            "properties": {
                "containers": _merged("name", _CONTAINER, minItems=1),
                "initContainers": _merged("name", _CONTAINER, nullable=True),
                "volumes": _merged("name", _NAMED, nullable=True),
                "imagePullSecrets": _merged("name", _NAMED, nullable=True),
            },
        },
    },
}


def _parse(value: Any, place: Place) -> Mapping[str, Any]:
    """As it is written: it is hashed, and the API server judges it."""
    raw = an_object(value, place)
    containers = an_object(raw.get("spec") or {}, place.at("spec")).get("containers") or []
    if not isinstance(containers, list) or not containers:
        raise place.at("spec").at("containers").refuse("needs at least one container")
    for index, container in enumerate(containers):
        an_object(container, place.at("spec").at("containers").item(index))
    return raw


POD_TEMPLATE = Custom(_SCHEMA, _parse)

_IN_A_LIST: dict[str, Any] = {
    "type": "object",
    "required": ["spec"],
    _OPEN: True,
    "properties": {
        "spec": {
            "description": "As in a Pod.",
            "type": "object",
            "required": ["containers"],
            _OPEN: True,
            "properties": {
                "containers": {
                    "description": "At least one.",
                    "type": "array",
                    "minItems": 1,
                    "items": {"type": "object", _OPEN: True},
                }
            },
        }
    },
}
POD_TEMPLATE_IN_A_LIST = Custom(_IN_A_LIST, _parse)
"""In a list that is replaced as a whole nothing is merged by keys."""
