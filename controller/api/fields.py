"""One declaration per field: the CRD's schema, the parser and the reference page are made of it.

    @record("Before an old version is scaled down.", rules=[Rule("quiet is longer than max", ...)])
    class Drain:
        quiet: float = field(Duration(), "How long nothing was asked of it.", default="30s")

`parse(Drain, {"quiet": "1m"}, place)` is a `Drain(quiet=60.0)`, a frozen dataclass; `schema(Drain, kinds)` is what the
API server holds the same object against. Defaults are written as a manifest has them. What is declared twice drifts
apart, and then the API server accepts what the operator refuses.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeVar, dataclass_transform

from controller.api.reading import SpecError

T = TypeVar("T")
RULES = "x-kubernetes-validations"


@dataclass(frozen=True)
class Kinds:
    """The records of the modules that this installation has: by folder, and by the word in the manifest."""

    folders: Mapping[str, Mapping[str, type[Any]]]

    def of(self, folder: str) -> Mapping[str, type[Any]]:
        return self.folders.get(folder, {})


NO_KINDS = Kinds({})


@dataclass(frozen=True)
class Place:
    """Where a value stands, so that an error carries the path a person would look for."""

    path: str
    kinds: Kinds = NO_KINDS

    def at(self, key: str) -> Place:
        return Place(f"{self.path}.{key}" if self.path else key, self.kinds)

    def item(self, index: int) -> Place:
        return Place(f"{self.path}[{index}]", self.kinds)

    def refuse(self, problem: str) -> SpecError:
        return SpecError(self.path, problem)


class Shape(Protocol):
    """What a value looks like, in `controller.api.shapes`."""

    def schema(self, kinds: Kinds) -> dict[str, Any]: ...

    def parse(self, value: Any, place: Place) -> Any:
        """Of what is there: None never comes here. Raises SpecError."""
        ...


@dataclass(frozen=True)
class Rule:
    """What has to hold between fields, or of one beyond its shape. The API server tests `cel`, the parser `test`."""

    message: str
    cel: str = ""
    """Empty where the API server cannot say it, or where that costs more than CEL's budget."""
    test: Callable[[Any], bool] | None = None
    """Of the parsed value. None where only the API server can tell."""
    at: str = ""
    """The field that is named as the one at fault."""
    says: str = ""
    """The parser's sentence, where it is not `message`."""

    def schema(self) -> dict[str, str]:
        return {"rule": self.cel, "message": self.message} | ({"fieldPath": f".{self.at}"} if self.at else {})

    def hold(self, value: Any, place: Place) -> None:
        if self.test is not None and not self.test(value):
            raise (place.at(self.at) if self.at else place).refuse(self.says or self.message)


Check = Callable[[Any, Place], None]
"""Of a parsed value, for sentences that name what was found. Raises SpecError."""


@dataclass(frozen=True)
class Absent:
    """A field that may be left out and for which the API server writes nothing; `value` is what it then means."""

    value: Any = None


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Any = _Required()


@dataclass(frozen=True)
class Field:
    shape: Shape
    description: str
    default: Any
    key: str
    rules: tuple[Rule, ...]
    convert: Callable[[Any], Any] | None
    filled: bool
    """The default is written with all that it holds, for rules that are tried on it as it stands."""

    def read(self, raw: Any, place: Place) -> Any:
        value = self.shape.parse(raw, place)
        for rule in self.rules:
            rule.hold(value, place)
        return value if self.convert is None else self.convert(value)

    @cached_property
    def of_default(self) -> Any:
        """What the default means; REQUIRED where only the installation's modules can say it."""
        if isinstance(self.default, Absent):
            return self.default.value
        try:
            return self.read(self.default, Place(self.key))
        except SpecError:
            return REQUIRED

    def read_from(self, raw: Mapping[str, Any], place: Place) -> Any:
        value = raw.get(self.key)
        if value is not None:
            return self.read(value, place.at(self.key))
        if self.default is REQUIRED:
            raise place.at(self.key).refuse(getattr(self.shape, "needs", "") or "is required")
        found = self.of_default
        return self.read(self.default, place.at(self.key)) if found is REQUIRED else found

    def schema(self, kinds: Kinds) -> dict[str, Any]:
        found = {"description": self.description, **self.shape.schema(kinds)}
        found["description"] = self.description
        if self.default is not REQUIRED and not isinstance(self.default, Absent):
            found["default"] = filled(found, self.default) if self.filled else self.default
        rules = [rule.schema() for rule in self.rules if rule.cel]
        return {**found, RULES: [*found.get(RULES, []), *rules]} if rules else found


@dataclass(frozen=True)
class Declared:
    """What `record` keeps of a class."""

    description: str
    fields: Mapping[str, Field]
    """By the names they have in Python."""
    keys: tuple[str, ...]
    """The words they have in manifests."""
    rules: tuple[Rule, ...]
    checks: tuple[Check, ...]
    exactly_one: bool
    has_path: bool


def field(
    shape: Shape,
    description: str,
    *,
    default: Any = REQUIRED,
    key: str = "",
    rules: Sequence[Rule] = (),
    convert: Callable[[Any], Any] | None = None,
    filled: bool = False,
) -> Any:
    """A field of a record. `key` is its word in the manifest, by default its own name in camel case."""
    declared = Field(shape, description, default, key, tuple(rules), convert, filled)
    metadata = {"declared": declared}
    if default is REQUIRED:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default_factory=lambda: declared.of_default, metadata=metadata)


@dataclass_transform(frozen_default=True, field_specifiers=(field, dataclasses.field))
def record(
    description: str = "",
    *,
    rules: Sequence[Rule] = (),
    checks: Sequence[Check] = (),
    exactly_one: bool = False,
    kw_only: bool = False,
) -> Callable[[type[T]], type[T]]:
    """Makes a frozen dataclass of a class whose fields are declared. `exactly_one`: of its fields one is set.

    A field `path` that is not declared holds where the record stood.
    """

    def wrap(cls: type[T]) -> type[T]:
        made = dataclass(frozen=True, kw_only=kw_only)(cls)
        fields: dict[str, Field] = {}
        has_path = False
        for one in dataclasses.fields(made):  # type: ignore[arg-type]  # a dataclass since the line before
            declared = one.metadata.get("declared")
            if declared is not None:
                fields[one.name] = dataclasses.replace(declared, key=declared.key or _camel(one.name))
            has_path |= declared is None and one.name == "path"
        made.__declared__ = Declared(  # type: ignore[attr-defined]
            description,
            fields,
            tuple(one.key for one in fields.values()),
            tuple(rules),
            tuple(checks),
            exactly_one,
            has_path,
        )
        return made

    return wrap


def declared(cls: type[Any]) -> Declared:
    found: Declared = cls.__declared__
    return found


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)


def parse(cls: type[T], raw: Any, place: Place, *, with_keys: Sequence[str] = ()) -> T:
    """The record that stands at `place`. Unknown fields are refused, because a misspelt protection must not be a
    missing one; `with_keys` are known to the caller. Raises SpecError.
    """
    if not isinstance(raw, Mapping):
        raise place.refuse(f"must be an object, not {raw!r}")
    of = declared(cls)
    refuse_unknown(raw, [*of.keys, *with_keys] if with_keys else of.keys, place)
    if of.exactly_one:
        the_one(raw, of.keys, place)
    values = {name: one.read_from(raw, place) for name, one in of.fields.items()}
    if of.has_path:
        values["path"] = place.path
    result = cls(**values)
    for rule in of.rules:
        rule.hold(result, place)
    for check in of.checks:
        check(result, place)
    return result


def refuse_unknown(raw: Mapping[str, Any], known: Sequence[str], place: Place) -> None:
    for key in raw:
        if key not in known:
            raise place.at(key).refuse(f"is not a known field (known: {', '.join(known) or 'none'})")


def the_one(raw: Mapping[str, Any], known: Sequence[str], place: Place) -> str:
    """The single key that is set, out of `known`."""
    found = [key for key in raw if raw[key] is not None and key in known]
    if len(found) != 1:
        raise place.refuse(f"needs exactly one of {', '.join(known)}; found {', '.join(found) or 'none'}")
    return found[0]


def schema(cls: type[Any], kinds: Kinds) -> dict[str, Any]:
    """The structural schema of a record."""
    of = declared(cls)
    result: dict[str, Any] = {"description": of.description} if of.description else {}
    result["type"] = "object"
    required = [one.key for one in of.fields.values() if one.default is REQUIRED]
    if required:
        result["required"] = required
    if of.exactly_one:
        result |= {"minProperties": 1, "maxProperties": 1}
    rules = [rule.schema() for rule in of.rules if rule.cel]
    if rules:
        result[RULES] = rules
    result["properties"] = {one.key: one.schema(kinds) for one in of.fields.values()}
    return result


def filled(schema: Mapping[str, Any], value: Any) -> Any:
    """`value` with the defaults in it, from the outside in, as the API server writes them."""
    if isinstance(value, Mapping):
        properties: Mapping[str, Any] = schema.get("properties", {})
        given = {key: one["default"] for key, one in properties.items() if "default" in one} | dict(value)
        return {key: filled(properties.get(key, {}), item) for key, item in given.items()}
    if isinstance(value, list):
        return [filled(schema.get("items", {}), item) for item in value]
    return value
