"""Reads raw objects into types that cannot be wrong.

Every value is asked for by name through a `Reader`, which knows where it stands, so an error always carries
the path a person would look for: `spec.strategy.canary.steps[2].weight: 140 is not between 0 and 100`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:ms|s|m|h|d))+")
_DURATION_PART = re.compile(r"(\d+)(ms|s|m|h|d)")
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,4})?)%")

DURATION_SCHEMA: dict[str, Any] = {"type": "string", "pattern": r"^(\d{1,6}(ms|s|m|h|d))+$", "maxLength": 20}
"""A duration in the CRD, such as `90s` or `1h30m`."""

PERCENT_SCHEMA: dict[str, Any] = {
    "x-kubernetes-int-or-string": True,
    "minimum": 0,
    "maximum": 100,
    "pattern": r"^(100|\d{1,2}(\.\d{1,2})?)%$",
    "maxLength": 6,
}
"""A share in the CRD: 5 or `0.5%`. The numbers bound the integer, pattern and length the string."""


class SpecError(ValueError):
    """Something a person wrote that cannot be meant: where, and what is wrong with it."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


def parse_duration(text: str, path: str) -> float:
    """`1m30s` in seconds."""
    if not _DURATION.fullmatch(text):
        raise SpecError(path, f"{text!r} is not a duration such as 90s, 10m or 1h30m")
    return sum(int(number) * _UNIT_S[unit] for number, unit in _DURATION_PART.findall(text))


def parse_percent(value: object, path: str) -> float:
    """A share in percent: the integer 5, or a string with its sign, `0.5%`."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise SpecError(path, f"{value!r} is not a share such as 5 or 0.5%")
    if isinstance(value, str):
        match = _PERCENT.fullmatch(value)
        if not match:
            raise SpecError(path, f"{value!r} is not a share such as 5 or 0.5%")
        percent = float(match[1])
    else:
        percent = float(value)
    if not 0 <= percent <= 100:  # noqa: PLR2004 - percent
        raise SpecError(path, f"{value} is not between 0 and 100")
    return percent


@dataclass(frozen=True)
class Reader:
    """One mapping of a raw object, and the path at which it stands."""

    raw: Mapping[str, Any]
    path: str

    @classmethod
    def of(cls, raw: object, path: str) -> Reader:
        if not isinstance(raw, Mapping):
            raise SpecError(path, f"expected fields, found {raw!r}")
        return cls(raw, path)

    def at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def has(self, key: str) -> bool:
        return self.raw.get(key) is not None

    def only(self, *known: str) -> Reader:
        """Refuses fields that nobody reads: a misspelt protection must not be a missing one."""
        for key in self.raw:
            if key not in known:
                raise SpecError(self.at(key), f"is not a known field (known: {', '.join(known) or 'none'})")
        return self

    def child(self, key: str) -> Reader:
        """The mapping under `key`; an absent one reads as empty."""
        return Reader.of(self.raw.get(key) or {}, self.at(key))

    def items(self, key: str) -> list[Reader]:
        value = self.raw.get(key) or []
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise SpecError(self.at(key), f"expected a list, found {value!r}")
        return [Reader.of(item, f"{self.at(key)}[{index}]") for index, item in enumerate(value)]

    def one_of(self, known: Collection[str]) -> str:
        """The single key that is set, out of `known`."""
        found = [key for key in self.raw if self.raw[key] is not None and key in known]
        if len(found) != 1:
            names = ", ".join(known)
            raise SpecError(self.path, f"needs exactly one of {names}; found {', '.join(found) or 'none'}")
        return found[0]

    def text(self, key: str, default: str | None = None) -> str:
        value = self.raw.get(key, default)
        if not isinstance(value, str) or (not value and default is None):
            raise SpecError(self.at(key), "is required" if value is None else f"{value!r} is not a text")
        return value

    def choice(self, key: str, allowed: Sequence[str], default: str) -> str:
        value = self.text(key, default)
        if value not in allowed:
            raise SpecError(self.at(key), f"{value!r} is not one of {', '.join(allowed)}")
        return value

    def flag(self, key: str, *, default: bool = False) -> bool:
        value = self.raw.get(key, default)
        if not isinstance(value, bool):
            raise SpecError(self.at(key), f"{value!r} is not true or false")
        return value

    def integer(self, key: str, default: int | None = None, *, least: int = 0, most: int = 2**31 - 1) -> int:
        value = self.raw.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise SpecError(self.at(key), "is required" if value is None else f"{value!r} is not a whole number")
        if not least <= value <= most:
            raise SpecError(self.at(key), f"{value} is not between {least} and {most}")
        return value

    def number(self, key: str, default: float | None = None, *, least: float = 0, most: float = math.inf) -> float:
        value = self.raw.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise SpecError(self.at(key), "is required" if value is None else f"{value!r} is not a number")
        if not least <= value <= most:
            raise SpecError(self.at(key), f"{value} is not between {least} and {most}")
        return float(value)

    def seconds(self, key: str, default: float | None = None) -> float:
        value = self.raw.get(key)
        if value is None:
            if default is None:
                raise SpecError(self.at(key), "is required")
            return default
        if not isinstance(value, str):
            raise SpecError(self.at(key), f"{value!r} is not a duration such as 90s, 10m or 1h30m")
        return parse_duration(value, self.at(key))

    def percent(self, key: str, default: float | None = None) -> float:
        value = self.raw.get(key)
        if value is None:
            if default is None:
                raise SpecError(self.at(key), "is required")
            return default
        return parse_percent(value, self.at(key))
