"""How long to wait before the next try: half to all of a pause, so that a thousand do not come at once."""

from __future__ import annotations

import random
from collections.abc import Callable

Draw = Callable[[], float]
"""0 to 1."""


def spread_s(seconds: float, draw: Draw = random.random) -> float:
    return seconds * (0.5 + draw() / 2)


class Pauses:
    """Each twice as long as the one before, up to the longest; spread. `again` after a success."""

    def __init__(self, first_s: float, longest_s: float, draw: Draw = random.random) -> None:
        self._first_s, self._longest_s, self._draw = first_s, longest_s, draw
        self._whole_s = first_s

    @property
    def longest_next_s(self) -> float:
        """Of the pause that comes next."""
        return self._whole_s

    def next_s(self) -> float:
        pause = spread_s(self._whole_s, self._draw)
        self._whole_s = min(2 * self._whole_s, self._longest_s)
        return pause

    def again(self) -> None:
        self._whole_s = self._first_s
