"""What every module has to keep to, whatever its folder. Each rule returns what is wrong, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from controller import registry
from controller.api import fields
from controller.api.choice import Entry, OneOf
from controller.api.fields import Kinds, Place
from controller.api.reading import SpecError
from controller.api.resources import Rule
from controller.cli import _schema

_WRITES = {"create", "patch", "update", "delete"}


def broken(folder: str, module: Any) -> list[str]:
    """Every rule that the module breaks."""
    if not (module.__doc__ or "").strip():
        return ["it has no docstring"]
    if not hasattr(module.Config, "__declared__"):
        return ["Config is not a record"]
    return [*_described(folder, module), *_example(folder, module), *_access(folder, module)]


def _described(folder: str, module: Any) -> Iterator[str]:
    schema = fields.schema(module.Config, registry.kinds())
    if not schema.get("description") and module.KIND not in schema["properties"]:
        yield "Config has no description"
    yield from (f"{path} has no description" for path, field in _walk(schema, "") if not field.get("description"))
    for path, field in _walk(schema, ""):
        if field.get("type") == "string" and not field.keys() & {"maxLength", "enum"}:
            yield f"{path} is without bounds"


def _walk(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, field in schema.get("properties", {}).items():
        here = f"{path}.{name}".lstrip(".")
        yield here, field
        yield from _walk(field, here)
        yield from _walk(field.get("items", {}), f"{here}[]")


def _example(folder: str, module: Any) -> Iterator[str]:
    others = registry.kinds()
    kinds = Kinds({**{name: others.of(name) for name in registry.FOLDERS}, "this": {module.KIND: module.Config}})
    shape = Entry("this", "This.") if folder == "steps" else OneOf("this")
    example = module.EXAMPLE if folder == "steps" else {module.KIND: module.EXAMPLE}
    schema = shape.schema(kinds)
    try:
        shape.parse(example, Place("", kinds))
    except SpecError as error:
        yield f"EXAMPLE is refused: {error}"
        return
    yield from (f"EXAMPLE does not fit the schema: {error}" for error in _schema.problems(schema, example, ""))
    for at, unknown in _with_an_unknown_field(example):
        if not list(_schema.problems(schema, unknown, "")):
            yield f"the schema takes an unknown field in {at or module.KIND}"
        try:
            shape.parse(unknown, Place("", kinds))
        except SpecError:
            continue
        yield f"the parser takes an unknown field in {at or module.KIND}"


def _with_an_unknown_field(example: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key, value in example.items():
        if isinstance(value, dict):
            yield key, {**example, key: {**value, "noSuchField": 1}}


def _access(folder: str, module: Any) -> Iterator[str]:
    if folder not in ("routers", "effects"):
        return
    if not all(isinstance(rule, Rule) for rule in module.RULES):
        yield "RULES are not Rules"
    allowed = {(rule.resource, verb) for rule in module.RULES for verb in rule.verbs}
    for resource in getattr(module, "WATCHES", ()):
        missing = {"list", "watch"} - {verb for of, verb in allowed if of == resource}
        if missing:
            yield f"RULES lack {', '.join(sorted(missing))} of {resource.plural}, which it watches"
        if not _WRITES & {verb for of, verb in allowed if of == resource}:
            yield f"RULES lack a verb that writes {resource.plural}, which it watches to put right"
