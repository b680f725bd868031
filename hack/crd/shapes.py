"""What stands for `x-pointsman-type: NAME` in the bases: shapes that are used in many places.

Texts that the operator writes have wide bounds: a status that is refused is a rollout that stands still.
"""

from typing import Any

from controller.api.reading import DURATION_SCHEMA, PERCENT_SCHEMA

_REVISION: dict[str, Any] = {"type": "string", "pattern": "^[a-z2-7]{10}$", "maxLength": 10}
_TIME: dict[str, Any] = {"type": "string", "format": "date-time", "maxLength": 40}

SHAPES: dict[str, dict[str, Any]] = {
    "duration": DURATION_SCHEMA,
    "share": PERCENT_SCHEMA,
    "revision": _REVISION,
    "time": _TIME,
    "name": {"type": "string", "minLength": 1, "maxLength": 253, "pattern": r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"},
    "label": {"type": "string", "minLength": 1, "maxLength": 63, "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"},
    "uid": {"type": "string", "minLength": 1, "maxLength": 64},
    "reason": {"type": "string", "maxLength": 1024},
    "message": {"type": "string", "maxLength": 32768},
    "evidence": {"type": "string", "maxLength": 1024},
    "condition": {
        "description": "As metav1.Condition.",
        "type": "object",
        "required": ["type", "status", "reason", "message", "lastTransitionTime"],
        "properties": {
            "type": {
                "description": "Which condition.",
                "type": "string",
                "maxLength": 316,
                "pattern": r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
            },
            "status": {"description": "Whether it holds.", "type": "string", "enum": ["True", "False", "Unknown"]},
            "reason": {
                "description": "Why, a CamelCase word.",
                "type": "string",
                "minLength": 1,
                "maxLength": 1024,
                "pattern": r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
            },
            "message": {"description": "The whole sentence.", "type": "string", "maxLength": 32768},
            "lastTransitionTime": {**_TIME, "description": "When status last changed."},
            "observedGeneration": {
                "description": "The generation of the spec it is about.",
                "type": "integer",
                "format": "int64",
                "minimum": 0,
            },
        },
    },
}
