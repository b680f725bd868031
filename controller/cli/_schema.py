"""Holds an object against a CRD's schema without an API server.

Knows what a structural schema is made of; its CEL rules are evaluated in `_cel`. Where the API server ignores or drops
something, this says so, as `kubectl apply` does with strict validation.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from controller.api.reading import DURATION_SCHEMA, PERCENT_SCHEMA, SpecError
from controller.cli._cel import matches

_OPEN = "x-kubernetes-preserve-unknown-fields"
_INT_OR_STRING = "x-kubernetes-int-or-string"

REQUIRED = "is required"
_LOOKS = {
    DURATION_SCHEMA["pattern"]: "a duration such as 90s, 10m or 1h30m",
    PERCENT_SCHEMA["pattern"]: "a share such as 5 or 0.5%, with two decimals at most",
}

Schema = Mapping[str, Any]


def problems(schema: Schema, value: object, path: str) -> Iterator[SpecError]:
    """Everything that is wrong with `value`, which stands at `path`."""
    if value is None:
        if not schema.get("nullable") and "default" not in schema and not _is_anything(schema):
            yield SpecError(path, "has no value: give it one or leave it out")
        return
    wrong = _wrong_type(schema, value)
    if wrong is not None:
        yield SpecError(path, wrong)
        return
    if "enum" in schema and value not in schema["enum"]:
        yield SpecError(path, f"{value!r} is not one of {', '.join(map(str, schema['enum']))}")
    match value:
        case str():
            yield from _text(schema, value, path)
        case bool():
            pass
        case int() | float():
            yield from _number(schema, value, path)
        case list():
            yield from _list(schema, value, path)
        case Mapping():
            yield from _object(schema, value, path)


def _drops_null(schema: Schema | None) -> bool:
    """The API server takes a field without a value for one that is not there."""
    return schema is not None and not schema.get("nullable") and not _is_anything(schema)


def _is_anything(schema: Schema) -> bool:
    return bool(schema.get(_OPEN)) and "type" not in schema


def _wrong_type(schema: Schema, value: object) -> str | None:
    if schema.get(_INT_OR_STRING):
        fits, expected = isinstance(value, int | str) and not isinstance(value, bool), "a whole number or a string"
    else:
        match schema.get("type"):
            case "object":
                fits, expected = isinstance(value, Mapping), "an object"
            case "array":
                fits, expected = isinstance(value, list), "a list"
            case "string":
                fits, expected = isinstance(value, str), "a string"
            case "quantity":
                fits, expected = isinstance(value, int | float | str), "a quantity such as 500m or 128Mi"
            case "boolean":
                fits, expected = isinstance(value, bool), "true or false"
            case "integer":
                fits, expected = isinstance(value, int) and not isinstance(value, bool), "a whole number"
            case "number":
                fits, expected = isinstance(value, int | float) and not isinstance(value, bool), "a number"
            case _:
                return None
    if fits:
        return None
    quoted = expected == "a string" and isinstance(value, bool | int | float)
    return f"must be {expected}, not {value!r}" + (f': write "{json.dumps(value)}"' if quoted else "")


def _text(schema: Schema, value: str, path: str) -> Iterator[SpecError]:
    if len(value) < schema.get("minLength", 0):
        yield SpecError(path, "is empty")
    if len(value) > schema.get("maxLength", math.inf):
        yield SpecError(path, f"{len(value)} characters, maximum is {schema['maxLength']}")
    elif "pattern" in schema and not matches(schema["pattern"], value):
        looks = _LOOKS.get(schema["pattern"])
        yield SpecError(path, f"{value!r} is not {looks}" if looks else f"{value!r} does not match {schema['pattern']}")
    if schema.get("format") == "date-time" and not _is_time(value):
        yield SpecError(path, f"{value!r} is not an RFC 3339 timestamp, e.g. 2030-01-31T12:00:00Z")


def _is_time(value: str) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _number(schema: Schema, value: float, path: str) -> Iterator[SpecError]:
    least, most = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    if not least <= value <= most:
        between = f"between {least} and {most}" if math.isfinite(most) else f"at least {least}"
        yield SpecError(path, f"{value} is not {between}")


def _list(schema: Schema, value: list[object], path: str) -> Iterator[SpecError]:
    if len(value) < schema.get("minItems", 0):
        yield SpecError(path, f"{len(value)} entries, minimum is {schema['minItems']}")
    if len(value) > schema.get("maxItems", math.inf):
        yield SpecError(path, f"{len(value)} entries, maximum is {schema['maxItems']}")
    items = schema.get("items", {})
    for index, item in enumerate(value):
        yield from problems(items, item, f"{path}[{index}]")
    yield from _duplicates(schema, value, path)


def _duplicates(schema: Schema, value: list[object], path: str) -> Iterator[SpecError]:
    kind = schema.get("x-kubernetes-list-type")
    if kind not in ("map", "set"):
        return
    properties = schema.get("items", {}).get("properties", {})
    keys = schema.get("x-kubernetes-list-map-keys", [])
    seen = set()
    for index, item in enumerate(value):
        here = f"{path}[{index}]"
        identity: object = item
        if kind == "map":
            if not isinstance(item, Mapping):
                continue
            identity = [item.get(key, properties[key].get("default")) for key in keys]
        written = json.dumps(identity, sort_keys=True, default=str)
        if written in seen:
            single = kind == "map" and len(keys) == 1
            said = item[keys[0]] if single and isinstance(item, Mapping) else identity
            yield SpecError(f"{here}.{keys[0]}" if single else here, f"duplicate {said!r}")
        seen.add(written)


def _object(schema: Schema, value: Mapping[str, object], path: str) -> Iterator[SpecError]:
    properties: Mapping[str, Schema] = schema.get("properties", {})
    others = schema.get("additionalProperties")
    if len(value) > schema.get("maxProperties", math.inf):
        yield SpecError(path, f"{len(value)} fields, maximum is {schema['maxProperties']}")
    value = {key: item for key, item in value.items() if item is not None or not _drops_null(properties.get(key))}
    for key in schema.get("required", ()):
        if key not in value and "default" not in properties.get(key, {}):
            yield SpecError(_below(path, key), REQUIRED)
    for key, item in value.items():
        here = _below(path, key)
        if key in properties:
            yield from problems(properties[key], item, here)
        elif others is not None:
            yield from problems(others, item, here)
        elif not schema.get(_OPEN):
            yield SpecError(here, f"is not a known field ({_instead(str(key), properties)})")


def _instead(key: str, properties: Mapping[str, Schema]) -> str:
    alike = get_close_matches(key, properties, 1)
    return f"did you mean {alike[0]}?" if alike else f"known: {', '.join(properties) or 'none'}"


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else str(key)
