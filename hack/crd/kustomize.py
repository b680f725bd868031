"""What kustomize has to know to patch Releases: by which key the entries of a list are merged.

Kustomize reads no CRD, and its own schema is gone as soon as a kustomization names another. So `gitops/kustomize` has a
schema with both: of Kubernetes' kinds those in which anything is merged by a key, and ours, from their CRDs. The part
that is Kubernetes' is written by `uv run python -m hack.crd.kustomize FILE`, FILE from `kubectl get --raw /openapi/v2`;
an integration test holds it against the server that tests run with.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from hack.crd import generate

BUILTIN = Path(__file__).with_name("kustomize-builtin.json")
PATH = "gitops/kustomize/openapi.json"
_REF = "#/definitions/"
_POD_TEMPLATE = {"$ref": f"{_REF}io.k8s.api.core.v1.PodTemplateSpec"}
_MERGE_KEY, _STRATEGY = "x-kubernetes-patch-merge-key", "x-kubernetes-patch-strategy"
_KINDS = "x-kubernetes-group-version-kind"
Shape = dict[str, Any]


def reduced(document: Mapping[str, Any]) -> dict[str, Shape]:
    """Of an OpenAPI v2 document the definitions in which a list is merged by a key, and of those what leads there."""
    definitions: Mapping[str, Any] = document["definitions"]
    leading = {name for name, one in definitions.items() if any(map(_is_merged, _properties(one).values()))}
    while True:
        more = {
            name
            for name, one in definitions.items()
            if any(_target(field) in leading for field in _properties(one).values())
        }
        if more <= leading:
            break
        leading |= more
    found: dict[str, Shape] = {}
    left = [name for name in leading if _KINDS in definitions[name] and not name.endswith("List")]
    while left:
        name = left.pop()
        if name not in found:
            found[name] = _shape(definitions[name], leading)
            left += filter(None, map(_target, found[name]["properties"].values()))
    return dict(sorted(found.items()))


def _properties(one: Mapping[str, Any]) -> Mapping[str, Any]:
    """Nobody patches a status."""
    return {name: field for name, field in one.get("properties", {}).items() if name not in ("status", "metadata")}


def _is_merged(field: Mapping[str, Any]) -> bool:
    return _STRATEGY in field


def _target(field: Mapping[str, Any]) -> str:
    """The definition that it, or an entry of it, is; empty where that is none."""
    for one in (field, field.get("items", {}), field.get("additionalProperties", {})):
        if isinstance(one, Mapping) and "$ref" in one:
            return str(one["$ref"]).removeprefix(_REF)
    return ""


def _shape(one: Mapping[str, Any], leading: set[str]) -> Shape:
    kept = {
        name: {key: field[key] for key in (_MERGE_KEY, _STRATEGY, "type", "items", "$ref") if key in field}
        for name, field in _properties(one).items()
        if _is_merged(field) or _target(field) in leading
    }
    for field in kept.values():
        if _target(field) not in leading and "items" in field:
            field["items"] = {"type": field["items"].get("type", "object")}
    shape: Shape = {"type": "object", "properties": kept}
    return shape | ({_KINDS: one[_KINDS]} if _KINDS in one else {})


def ours() -> dict[str, Shape]:
    """Of each of our kinds, as its CRD says."""
    found: dict[str, Shape] = {}
    for text in generate.render().values():
        spec = yaml.safe_load(text)["spec"]
        for version in spec["versions"]:
            kind = {"group": spec["group"], "version": version["name"], "kind": spec["names"]["kind"]}
            shape = _of_crd(version["schema"]["openAPIV3Schema"], ())
            if shape is not None and kind["kind"] != "AnalysisRun":  # the operator writes those
                reverse = ".".join(reversed(spec["group"].split(".")))
                found[f"{reverse}.{version['name']}.{spec['names']['kind']}"] = shape | {_KINDS: [kind]}
    return dict(sorted(found.items()))


def _of_crd(schema: Mapping[str, Any], path: tuple[str, ...]) -> Shape | None:
    """None where nothing in it is merged."""
    if path == ("spec", "template") and "spec" in schema.get("properties", {}):
        return dict(_POD_TEMPLATE)
    if path[:1] == ("status",):
        return None
    properties = {
        name: shape
        for name, field in schema.get("properties", {}).items()
        if (shape := _of_crd(field, (*path, name))) is not None
    }
    items = _of_crd(schema["items"], (*path, "[]")) if isinstance(schema.get("items"), Mapping) else None
    if schema.get("x-kubernetes-list-type") == "map":
        key, *_ = schema["x-kubernetes-list-map-keys"]
        return {"type": "array", "items": items or {"type": "object"}, _MERGE_KEY: key, _STRATEGY: "merge"}
    if items is not None:
        return {"type": "array", "items": items}
    return {"type": "object", "properties": properties} if properties else None


def text(definitions: Mapping[str, Shape]) -> str:
    """One line for each definition, so that a change can be read."""
    lines = (f"{json.dumps(name)}: {json.dumps(one)}" for name, one in definitions.items())
    return '{"definitions": {\n' + ",\n".join(lines) + "\n}}\n"


def render() -> str:
    return text({**json.loads(BUILTIN.read_text())["definitions"], **ours()})


if __name__ == "__main__":
    BUILTIN.write_text(text(reduced(json.loads(Path(sys.argv[1]).read_text()))))
