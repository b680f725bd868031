"""Objects in which exactly one module is chosen: a router, a provider, a step.

The modules are found in their folders and handed in as `Kinds`, so nothing in `api` knows one of them by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from controller.api import fields
from controller.api.fields import RULES, Kinds, Place, declared, refuse_unknown, the_one
from controller.api.shapes import an_object

# https://kubernetes.io/docs/reference/using-api/cel: property names that are CEL's own words
_CEL_WORDS = (
    "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import",
    "let", "loop", "package", "namespace", "return", "var", "void", "while",
)  # fmt: skip


class Module(Protocol):
    """What the modules of all folders have."""

    @property
    def KIND(self) -> str: ...  # noqa: N802 - a constant of the module

    @property
    def EXAMPLE(self) -> Mapping[str, Any]:  # noqa: N802 - as above
        """Fields, as they are written."""
        ...

    @property
    def Config(self) -> type[Any]:  # noqa: N802 - a class of the module
        """A `record` of its fields."""
        ...


class DeclarationError(Exception):
    """Modules of which no schema can be made."""


@dataclass(frozen=True)
class Choice:
    """The one word that was chosen, and what stood under it."""

    kind: str
    config: Any


@dataclass(frozen=True)
class OneOf:
    """Exactly one module of a folder: `{gatewayAPI: {...}}`."""

    folder: str

    def schema(self, kinds: Kinds) -> dict[str, Any]:
        return with_modules({"type": "object"}, kinds.of(self.folder), kinds)

    def parse(self, value: Any, place: Place) -> Choice:
        raw, modules = an_object(value, place), place.kinds.of(self.folder)
        refuse_unknown(raw, list(modules), place)
        return chosen(raw, modules, place)


def chosen(raw: Mapping[str, Any], modules: Mapping[str, type[Any]], place: Place) -> Choice:
    kind = the_one(raw, list(modules), place)
    return Choice(kind, fields.parse(modules[kind], raw[kind], place.at(kind)))


@dataclass(frozen=True)
class Entry:
    """An entry of a list that is one module: `{pause: {for: 1m}}`, or `{weight: 5, analyze: {...}}`."""

    folder: str
    description: str

    def schema(self, kinds: Kinds) -> dict[str, Any]:
        return with_modules({"description": self.description, "type": "object"}, kinds.of(self.folder), kinds)

    def parse(self, value: Any, place: Place) -> Any:
        raw, modules = an_object(value, place), place.kinds.of(self.folder)
        kind = the_one(raw, list(modules), place)
        raw = {key: item for key, item in raw.items() if key not in modules or item is not None}
        if _stands_beside(kind, modules[kind]):
            return fields.parse(modules[kind], raw, place)
        refuse_unknown(raw, [kind], place)
        return fields.parse(modules[kind], raw[kind], place.at(kind))


def _stands_beside(kind: str, config: type[Any]) -> bool:
    """Whether the module's fields stand in the entry itself, its own word among them."""
    return kind in declared(config).keys


def with_modules(schema: dict[str, Any], modules: Mapping[str, type[Any]], kinds: Kinds) -> dict[str, Any]:
    """The schema of an object in which exactly one of the modules is chosen. Raises DeclarationError."""
    properties: dict[str, Any] = dict(schema.get("properties", {}))
    goes_with: dict[str, list[str]] = {}
    for kind, config in modules.items():
        own = fields.schema(config, kinds)
        brought = own["properties"] if _stands_beside(kind, config) else {kind: own}
        for key, value in brought.items():
            if key in properties and (key in modules or properties[key] != value):
                raise DeclarationError(f"{config.__module__}: its field {key!r} is there already, and different")
            properties[key] = value
            if key not in modules:
                goes_with.setdefault(key, []).append(kind)
    rules = [_exactly_one(list(modules)), *(_only_with(key, words) for key, words in goes_with.items())]
    return {**schema, "properties": properties, RULES: [*schema.get(RULES, []), *rules]}


def _exactly_one(kinds: list[str]) -> dict[str, str]:
    words = ", ".join(f"has(self.{_cel_name(kind)})" for kind in kinds)
    return {"rule": f"[{words}].exists_one(chosen, chosen)", "message": f"needs exactly one of {', '.join(kinds)}"}


def _only_with(key: str, kinds: list[str]) -> dict[str, str]:
    words = " || ".join(f"has(self.{_cel_name(kind)})" for kind in kinds)
    return {"rule": f"!has(self.{_cel_name(key)}) || {words}", "message": f"{key} goes with {' or '.join(kinds)} only"}


def _cel_name(name: str) -> str:
    if name in _CEL_WORDS:
        return f"__{name}__"
    if not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9]*", name):
        raise DeclarationError(f"{name!r} is not a word a manifest can have here: letters and digits only")
    return name
