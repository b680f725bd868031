"""What the e-processes share: a mean of products over looks, won at 1/α, and its standing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from controller.stats.log_mean import chance, log_mean
from controller.stats.xgs import Standing

Crosses = Callable[[int], bool]
"""Whether so many bad canary units in this look would win."""
Boundary = Callable[[Crosses, int], int | None]
"""The number of them at which it turns, of at most so many; None where it does not."""


class EProcess:
    """Against a null, by several alternatives at once; each pays its own way. A subclass says what a look pays."""

    def __init__(self, alpha: float, alternatives: int) -> None:
        self._alpha = alpha
        self._needed = math.log(1 / alpha)
        self._logs = [0.0] * alternatives
        self.standing = Standing(bad=0, boundary=None, p=1.0, budget=alpha, crossed=False)

    def _pass(self, canary_bad: int) -> Standing:
        """The look pays nothing."""
        last = self.standing
        self.standing = Standing(last.bad + canary_bad, last.boundary, last.p, self._alpha, last.crossed)
        return self.standing

    def _take(self, bad: int, units: int, pays: Sequence[tuple[float, float]], boundary: Boundary) -> Standing:
        """`bad` of `units` on the canary. `pays`, by alternative, in ln: for each of the bad, and for all else."""

        def after(canary_bad: int) -> list[float]:
            return [log + canary_bad * each + rest for log, (each, rest) in zip(self._logs, pays, strict=True)]

        last = self.standing
        found = boundary(lambda canary_bad: log_mean(after(canary_bad)) >= self._needed, units)
        self._logs = after(bad)
        log_e = log_mean(self._logs)
        turns = None if found is None else last.bad + found
        self.standing = Standing(last.bad + bad, turns, chance(log_e), self._alpha, log_e >= self._needed)
        return self.standing

    def to_raw(self) -> dict[str, Any]:
        last = self.standing
        return {"logs": self._logs, "standing": [last.bad, last.boundary, last.p, last.crossed]}

    def restore(self, raw: Mapping[str, Any]) -> None:
        """Goes on from `to_raw` of a test with the same null and α."""
        self._logs = list(raw["logs"])
        bad, boundary, p, crossed = raw["standing"]
        self.standing = Standing(bad, boundary, p, self._alpha, crossed)
