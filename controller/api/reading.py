"""Durations and shares as manifests have them, and the error of what cannot be meant.

An error always carries the path a person would look for: `spec.strategy.canary.steps[2].weight: 140 is not between 0
and 100`.
"""

from __future__ import annotations

import re
from typing import Any

_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST_DAYS = 3650
"""Every point in time that is so far away can be written."""
DURATION = r"(\d{1,6}(ms|s|m|h)|\d{1,4}d)+"
_DURATION = re.compile(DURATION, re.ASCII)
_DURATION_PART = re.compile(r"([0-9]+)(ms|s|m|h|d)")
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,4})?)(%?)")

DURATION_SCHEMA: dict[str, Any] = {"type": "string", "pattern": f"^{DURATION}$", "maxLength": 20}
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
    """`1m30s` in seconds, ten years at most."""
    if not _DURATION.fullmatch(text):
        raise SpecError(path, f"{text!r} is not a duration such as 90s, 10m or 1h30m")
    seconds = sum(int(number) * _UNIT_S[unit] for number, unit in _DURATION_PART.findall(text))
    if seconds > _LONGEST_DAYS * _UNIT_S["d"]:
        raise SpecError(path, f"{text!r} is longer than {_LONGEST_DAYS}d")
    return seconds


def parse_percent(value: object, path: str) -> float:
    """A share in percent: the integer 5, or a string with its sign, `0.5%`."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise SpecError(path, f"{value!r} is not a share such as 5 or 0.5%")
    if isinstance(value, str):
        match = _PERCENT.fullmatch(value)
        if not match:
            raise SpecError(path, f"{value!r} is not a share such as 5 or 0.5%")
        if not match[2]:
            raise SpecError(path, f"{value!r} has no percent sign: write {value}%")
        percent = float(match[1])
    else:
        percent = float(value)
    if not 0 <= percent <= 100:  # noqa: PLR2004 - percent
        raise SpecError(path, f"{value} is not between 0 and 100")
    return percent
