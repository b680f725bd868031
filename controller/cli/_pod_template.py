"""What the API server takes as `spec.template`: the CRD leaves it open, and a Deployment with it is refused later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def pod_template() -> Mapping[str, Any]:
    """From the OpenAPI document of the supported Kubernetes version (see hack/crd/pod_schema.py)."""
    schemas = json.loads(files("controller.cli").joinpath("pod_template.json").read_text(encoding="utf-8"))
    resolved: Mapping[str, Any] = _resolved(schemas["PodTemplateSpec"], schemas)
    return resolved


def _resolved(schema: Any, schemas: Mapping[str, Any]) -> Any:
    """With each reference replaced by what it names; none leads back to itself."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _resolved(schemas[schema["$ref"]], schemas)
        return {key: _resolved(item, schemas) for key, item in schema.items()}
    return schema
