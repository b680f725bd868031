"""The shapes a field can have: each knows its schema and how a raw value of it is read."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as plain
from functools import cached_property
from typing import Any

from controller.api import fields
from controller.api.fields import RULES, Kinds, Place, Rule, Shape
from controller.api.reading import DURATION_SCHEMA, PERCENT_SCHEMA, parse_duration, parse_percent

LABEL = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
REVISION = "^[a-z2-7]{10}$"


@dataclass(frozen=True)
class Text:
    most: int
    least: int = 0
    pattern: str = ""
    looks: str = ""
    """What it has to be, in words: "the name of a MetricSource"."""

    def schema(self, kinds: Kinds) -> dict[str, Any]:
        del kinds
        result: dict[str, Any] = {"type": "string"}
        if self.least:
            result["minLength"] = self.least
        result["maxLength"] = self.most
        return result | ({"pattern": self.pattern} if self.pattern else {})

    def parse(self, value: Any, place: Place) -> str:
        text = a_string(value, place)
        if len(text) < self.least:
            raise place.refuse("is empty" if not text else f"{len(text)} characters, minimum is {self.least}")
        if len(text) > self.most:
            raise place.refuse(f"{len(text)} characters, maximum is {self.most}")
        if self.pattern and not re.search(_whole(self.pattern), text, re.ASCII):
            raise place.refuse(
                f"{text!r} is not {self.looks}" if self.looks else f"{text!r} does not match {self.pattern}"
            )
        return text


def _whole(pattern: str) -> str:
    """`$` is the text's end, as it is to the API server; to Python it is also before a line end."""
    return rf"{pattern[:-1]}\Z" if pattern.endswith("$") and not pattern.endswith(r"\$") else pattern


def a_string(value: Any, place: Place) -> str:
    if not isinstance(value, str):
        raise place.refuse(f"must be a string, not {value!r}")
    return value


@dataclass(frozen=True)
class Word:
    """One of a few words."""

    words: tuple[str, ...]

    def schema(self, kinds: Kinds) -> dict[str, Any]:
        del kinds
        return {"type": "string", "enum": list(self.words)}

    def parse(self, value: Any, place: Place) -> str:
        if a_string(value, place) not in self.words:
            raise place.refuse(f"{value!r} is not one of {', '.join(self.words)}")
        return str(value)


@dataclass(frozen=True)
class Flag:
    def schema(self, kinds: Kinds) -> dict[str, Any]:
        del kinds
        return {"type": "boolean"}

    def parse(self, value: Any, place: Place) -> bool:
        if not isinstance(value, bool):
            raise place.refuse(f"{value!r} is not true or false")
        return value


@dataclass(frozen=True)
class Integer:
    least: int
    most: int | None = None

    def schema(self, kinds: Kinds) -> dict[str, Any]:
        del kinds
        bounds = {"minimum": self.least} | ({} if self.most is None else {"maximum": self.most})
        return {"type": "integer", "format": "int32", **bounds}

    def parse(self, value: Any, place: Place) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise place.refuse(f"{value!r} is not a whole number")
        in_bounds(value, self.least, self.most, place)
        return value


def in_bounds(value: float, least: float, most: float | None, place: Place) -> None:
    if not least <= value <= (math.inf if most is None else most):
        raise place.refuse(f"{value} is not {f'at least {least}' if most is None else f'between {least} and {most}'}")


@dataclass(frozen=True)
class Number:
    least: float
    most: float

    def schema(self, kinds: Kinds) -> dict[str, Any]:
        del kinds
        return {"type": "number", "minimum": self.least, "maximum": self.most}

    def parse(self, value: Any, place: Place) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise place.refuse(f"{value!r} is not a number")
        in_bounds(value, self.least, self.most, place)
        return float(value)


@dataclass(frozen=True)
class Duration:
    """In seconds, written as `90s`."""

    least: str = ""
    most: str = ""
    by_parser: bool = False
    """The bounds are the parser's alone."""

    def schema(self, kinds: Kinds) -> dict[str, Any]:
        del kinds
        rule = self._rule()
        return dict(DURATION_SCHEMA) | ({RULES: [rule]} if rule else {})

    def _rule(self) -> dict[str, str] | None:
        # CEL's durations know no days; the parser does
        if not self.least or self.by_parser:
            return None
        bounds = f"duration(self) >= duration('{self.least}')"
        if self.most:
            bounds = f"!self.contains('d') && {bounds} && duration(self) <= duration('{self.most}')"
        else:
            bounds = f"self.contains('d') || {bounds}"
        return {"rule": bounds, "message": self._outside()}

    def _outside(self) -> str:
        return f"is not between {self.least} and {self.most}" if self.most else f"is shorter than {self.least}"

    def parse(self, value: Any, place: Place) -> float:
        if not isinstance(value, str):
            raise place.refuse(f"{value!r} is not a duration such as 90s, 10m or 1h30m")
        seconds = parse_duration(value, place.path)
        least = parse_duration(self.least, "") if self.least else 0.0
        most = parse_duration(self.most, "") if self.most else math.inf
        if not least <= seconds <= most:
            raise place.refuse(self._outside())
        return seconds


@dataclass(frozen=True)
class Share:
    """Percent, written as 5 or `0.5%`. With `most` it is above 0 and at most that."""

    most: int | None = None
    by_parser: bool = False
    """The bounds are the parser's alone: in lists they cost more than CEL's budget."""

    def schema(self, kinds: Kinds) -> dict[str, Any]:
        del kinds
        if self.most is None or self.by_parser:
            return dict(PERCENT_SCHEMA)
        number = "double(self.replace('%', ''))"
        rule = f"type(self) == int ? self > 0 && self <= {self.most} : {number} > 0.0 && {number} <= {self.most}.0"
        return {**PERCENT_SCHEMA, RULES: [{"rule": rule, "message": self._outside()}]}

    def _outside(self) -> str:
        return f"is not above 0% and at most {self.most}%"

    def parse(self, value: Any, place: Place) -> float:
        percent = parse_percent(value, place.path)
        if self.most is not None and not 0 < percent <= self.most:
            raise place.refuse(self._outside())
        return percent


@dataclass(frozen=True)
class Custom:
    """A shape of its own, where no other says it."""

    described: Mapping[str, Any]
    read: Callable[[Any, Place], Any]

    def schema(self, kinds: Kinds) -> dict[str, Any]:
        del kinds
        return dict(self.described)

    def parse(self, value: Any, place: Place) -> Any:
        return self.read(value, place)


@dataclass(frozen=True)
class Open:
    """An object whose fields are not ours: `known` are those that are looked at."""

    known: Mapping[str, Any] = plain(default_factory=dict)
    required: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()

    def schema(self, kinds: Kinds) -> dict[str, Any]:
        del kinds
        result: dict[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        if self.required:
            result["required"] = list(self.required)
        if self.rules:
            result[RULES] = [{"rule": rule.cel, "message": rule.message} for rule in self.rules if rule.cel]
        return result | ({"properties": dict(self.known)} if self.known else {})

    def parse(self, value: Any, place: Place) -> Mapping[str, Any]:
        raw = an_object(value, place)
        for key in self.required:
            if raw.get(key) is None:
                raise place.at(key).refuse("is required")
            if self.known.get(key, {}).get("type") == "string":
                a_string(raw[key], place.at(key))
        for rule in self.rules:
            rule.hold(raw, place)
        return raw


def an_object(value: Any, place: Place) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise place.refuse(f"must be an object, not {value!r}")
    return value


@dataclass(frozen=True)
class Values:
    """Anything by its name."""

    most: int

    def schema(self, kinds: Kinds) -> dict[str, Any]:
        del kinds
        anything = {"x-kubernetes-preserve-unknown-fields": True}
        return {"type": "object", "maxProperties": self.most, "additionalProperties": anything}

    def parse(self, value: Any, place: Place) -> Mapping[str, Any]:
        raw = an_object(value, place)
        if len(raw) > self.most:
            raise place.refuse(f"{len(raw)} fields, maximum is {self.most}")
        return raw


@dataclass(frozen=True)
class Anything:
    def schema(self, kinds: Kinds) -> dict[str, Any]:
        del kinds
        return {"x-kubernetes-preserve-unknown-fields": True}

    def parse(self, value: Any, place: Place) -> Any:
        del place
        return value


@dataclass(frozen=True)
class Record:
    of: type[Any]
    description: str = ""
    """Of an entry of a list; a field has its own."""

    def schema(self, kinds: Kinds) -> dict[str, Any]:
        return ({"description": self.description} if self.description else {}) | fields.schema(self.of, kinds)

    def parse(self, value: Any, place: Place) -> Any:
        return fields.parse(self.of, value, place)


@dataclass(frozen=True)
class List:
    item: Shape
    most: int
    least: int = 0
    kind: str = ""
    """`set` or `atomic`, for server-side apply."""
    unique: tuple[str, ...] = ()
    """Keys by which entries are told apart; no two entries agree in them."""
    rules: tuple[Rule, ...] = ()
    checks: tuple[Callable[[Any, Place], None], ...] = ()
    needs: str = ""
    """What an empty one lacks, in words."""

    def schema(self, kinds: Kinds) -> dict[str, Any]:
        result: dict[str, Any] = {"type": "array"}
        if self.least:
            result["minItems"] = self.least
        result["maxItems"] = self.most
        if self.unique:
            result |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(self.unique)}
        elif self.kind:
            result["x-kubernetes-list-type"] = self.kind
        if self.rules:
            result[RULES] = [rule.schema() for rule in self.rules if rule.cel]
        return result | {"items": self.item.schema(kinds)}

    def parse(self, value: Any, place: Place) -> tuple[Any, ...]:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise place.refuse(f"must be a list, not {value!r}")
        if len(value) < self.least:
            raise place.refuse(self.needs or f"{len(value)} entries, minimum is {self.least}")
        if len(value) > self.most:
            raise place.refuse(f"{len(value)} entries, maximum is {self.most}")
        items = tuple(self.item.parse(item, place.item(index)) for index, item in enumerate(value))
        self._refuse_duplicates(value, place)
        for rule in self.rules:
            rule.hold(items, place)
        for check in self.checks:
            check(items, place)
        return items

    def _refuse_duplicates(self, raw: Sequence[Any], place: Place) -> None:
        if not self.unique and self.kind != "set":
            return
        defaults = self._defaults
        seen: list[Any] = []
        for index, item in enumerate(raw):
            identity = [item.get(key, defaults.get(key)) for key in self.unique] if self.unique else item
            if identity in seen:
                single = len(self.unique) == 1
                here = place.item(index).at(self.unique[0]) if single else place.item(index)
                raise here.refuse(f"duplicate {identity[0] if single else identity!r}")
            seen.append(identity)

    @cached_property
    def _defaults(self) -> Mapping[str, Any]:
        properties = self.item.schema(fields.NO_KINDS).get("properties", {})
        return {key: one.get("default") for key, one in properties.items()}
