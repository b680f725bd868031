"""What several commands have alike: exit codes, and the form of their output."""

from __future__ import annotations

import re
from enum import StrEnum

from controller.api.reading import parse_percent

FAILED, WRONG_USE, WAITS_FOR_PERSON = 1, 2, 3


class Output(StrEnum):
    TEXT = "text"
    JSON = "json"


def read_share(text: str, option: str) -> float:
    """Percent, from `5` or `0.5%`. Raises SpecError."""
    return parse_percent(int(text) if re.fullmatch("[0-9]{1,3}", text) else text, option)
