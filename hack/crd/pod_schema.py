"""What a pod template may hold, out of the API server's own OpenAPI document.

`pointsman validate` ships it. The file is written by `uv run python -m hack.crd.pod_schema FILE`, FILE from
`kubectl get --raw /openapi/v3/apis/apps/v1`; an integration test holds it against the server that tests run with.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PATH = Path(__file__).resolve().parents[2] / "controller/cli/pod_template.json"
ROOT = "io.k8s.api.core.v1.PodTemplateSpec"
_REF = "#/components/schemas/"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_KEPT = ("type", "format", "required", "enum")


def reduced(document: Mapping[str, Any]) -> dict[str, Any]:
    """Only what a pod template needs, without the descriptions, each schema by its short name."""
    schemas: Mapping[str, Any] = document["components"]["schemas"]
    found: dict[str, Any] = {}
    left = [ROOT]
    while left:
        name = left.pop()
        if _short(name) not in found:
            refs: list[str] = []
            found[_short(name)] = _shape(name, schemas[name], refs)
            left += refs
    return dict(sorted(found.items()))


def _shape(name: str, schema: Mapping[str, Any], refs: list[str]) -> dict[str, Any]:
    if name == _QUANTITY:
        return {"type": "quantity"}
    if schema.get("format") == "int-or-string":
        return {"x-kubernetes-int-or-string": True}
    for one in [schema, *schema.get("allOf", ())]:
        if "$ref" in one:
            target = one["$ref"].removeprefix(_REF)
            refs.append(target)
            return {"$ref": _short(target)}
    result = {key: schema[key] for key in _KEPT if key in schema}
    if "properties" in schema:
        result["properties"] = {key: _shape("", one, refs) for key, one in schema["properties"].items()}
    for key in ("items", "additionalProperties"):
        if key in schema:
            result[key] = _shape("", schema[key], refs)
    if result == {"type": "object"}:
        result["x-kubernetes-preserve-unknown-fields"] = True
    return result


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def text(document: Mapping[str, Any]) -> str:
    """One line for each schema, so that a change of Kubernetes' version can be read."""
    lines = (f"{json.dumps(name)}: {json.dumps(one)}" for name, one in reduced(document).items())
    return "{" + ",\n".join(lines) + "}\n"


if __name__ == "__main__":
    PATH.write_text(text(json.loads(Path(sys.argv[1]).read_text())))
