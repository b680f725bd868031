"""JSON Schema as an OpenAPI 3.1 document holds it, in words and by example.

Read is what FastAPI writes: references, unions, lists, constants and limits. Where there is no example, one is made.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]

_DEEPEST = 6
"""Of an example that is made: schemas may contain themselves."""
_SAMPLES: Object = {
    "date-time": "2025-05-09T10:00:00Z",
    "date": "2025-05-09",
    "uuid": "0196b4c2-f3a1-7d0c-9e85-a7f432100000",
    "uri": "https://example.com",
    "email": "somebody@example.com",
}
_OF_KIND: Object = {"string": "…", "integer": 1, "number": 1.5, "boolean": True, "null": None}
_LIMITS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} of them",
    "maxItems": "at most {} of them",
    "pattern": "matches {}",
    "default": "{} if absent",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """A type in words; `schema` is what it refers to, by name."""

    words: str
    schema: str = ""


class Schemas:
    """Those of one document."""

    def __init__(self, document: Object) -> None:
        self._document = document
        self.named: Object = document.get("components", {}).get("schemas", {})

    def kind(self, schema: Object) -> Kind:
        if "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[-1]
            return Kind(name, schema=name if name in self.named else "")
        for key, joint in (("anyOf", " or "), ("oneOf", " or "), ("allOf", " and ")):
            if key in schema:
                kinds = [self.kind(each) for each in schema[key]]
                return Kind(joint.join(kind.words for kind in kinds), next((k.schema for k in kinds if k.schema), ""))
        if "const" in schema:
            return Kind(as_json(schema["const"]))
        if "enum" in schema:
            return Kind(" or ".join(as_json(each) for each in schema["enum"]))
        return self._plain_kind(schema)

    def _plain_kind(self, schema: Object) -> Kind:
        match schema.get("type", "anything"):
            case "array":
                items = self.kind(schema.get("items", {}))
                return Kind(f"list of {items.words}", items.schema)
            case "object" if isinstance(schema.get("additionalProperties"), Mapping):
                values = self.kind(schema["additionalProperties"])
                return Kind(f"object of {values.words}", values.schema)
            case list() as several:
                return Kind(" or ".join(several))
            case kind:
                detail = schema.get("format") or schema.get("contentMediaType")
                return Kind(f"{kind} ({detail})" if detail else str(kind))

    def sample(self, schema: Object, depth: int = 0) -> Any:
        if "$ref" in schema:
            schema = self.resolved(schema)
        if examples := schema.get("examples"):
            return examples[0]
        for name in ("example", "const", "default"):
            if name in schema:
                return schema[name]
        if "enum" in schema:
            return schema["enum"][0]
        if depth == _DEEPEST:
            return None
        for choice in ("anyOf", "oneOf"):
            if choice in schema:
                return self.sample(schema[choice][0], depth + 1)
        parts = [self.sample(each, depth + 1) for each in schema.get("allOf", ())]
        if "properties" in schema:
            parts.append({name: self.sample(each, depth + 1) for name, each in schema["properties"].items()})
        if parts:
            return {name: value for part in parts if isinstance(part, Mapping) for name, value in part.items()}
        return self._plain_sample(schema, depth)

    def _plain_sample(self, schema: Object, depth: int) -> Any:
        match schema.get("type"):
            case "array":
                return [self.sample(schema.get("items", {}), depth + 1)]
            case "object":
                return {}
            case list() as several:
                return _OF_KIND.get(several[0])
            case kind:
                return schema.get("minimum") or _SAMPLES.get(schema.get("format", ""), _OF_KIND.get(str(kind)))

    def resolved(self, found: Object) -> Object:
        """What a reference inside the document leads to."""
        while "$ref" in found:
            place: Any = self._document
            for part in found["$ref"].removeprefix("#/").split("/"):
                place = place[part.replace("~1", "/").replace("~0", "~")]
            found = place
        return found


def limits(schema: Object) -> Iterator[str]:
    for name, words in _LIMITS.items():
        if schema.get(name) is not None:
            yield words.format(schema[name] if isinstance(schema[name], str) else as_json(schema[name]))
    for each in schema.get("anyOf", ()):
        yield from limits(each)


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2 if isinstance(value, dict | list) and value else None)
