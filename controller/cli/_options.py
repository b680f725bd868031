"""What several commands have alike: exit codes, and the form of their output."""

from __future__ import annotations

import math
import re
from enum import StrEnum

from controller.api.reading import SpecError, parse_percent
from controller.stats.power import Level

FAILED, WRONG_USE, WAITS_FOR_PERSON = 1, 2, 3


class Output(StrEnum):
    TEXT = "text"
    JSON = "json"


def read_share(text: str, option: str) -> float:
    """Percent, from `5` or `0.5%`. Raises SpecError."""
    return parse_percent(int(text) if re.fullmatch("[0-9]{1,3}", text) else text, option)


def read_level(rate: float | None, base: str | None) -> Level | None:
    """Raises SpecError."""
    if rate is None and base is None:
        return None
    if rate is None or base is None:
        raise SpecError("--rate" if rate is None else "--base", "is needed with the other of the two")
    bad = read_share(base, "--base") / 100
    if not (math.isfinite(rate) and rate > 0):
        raise SpecError("--rate", f"{rate:g} is not above 0")
    if not 0 < bad < 1:
        raise SpecError("--base", f"{base} is not above 0% and below 100%")
    return Level(rate, bad)
