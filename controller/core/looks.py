"""What is counted: one row per look and metric, deltas of that look only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Counts:
    """Bad and exposed units of canary and stable in one look. A unit is whatever the router routes."""

    canary_bad: int
    canary_total: int
    stable_bad: int
    stable_total: int

    def __post_init__(self) -> None:
        for bad, total in ((self.canary_bad, self.canary_total), (self.stable_bad, self.stable_total)):
            if not 0 <= bad <= total:
                raise ValueError(f"{bad} bad of {total} units is impossible")

    @property
    def units(self) -> int:
        """Of both versions."""
        return self.canary_total + self.stable_total

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.canary_bad + other.canary_bad,
            self.canary_total + other.canary_total,
            self.stable_bad + other.stable_bad,
            self.stable_total + other.stable_total,
        )


NOTHING = Counts(0, 0, 0, 0)


def metric_of(row: str) -> str:
    """The metric of a row's name, which is `metric` or `metric/threshold`."""
    return row.partition("/")[0]


@dataclass(frozen=True)
class Look:
    """One closed window `[start, end)` in epoch seconds, under one weight (percent)."""

    number: int
    """1 from the first; the spending of the error budget goes by it."""
    start: float
    end: float
    weight: float
    rows: Mapping[str, Counts]
    """By `metric` or `metric/threshold`. A metric that is not there had no data, and is not tested in this look."""
    halves: Mapping[str, Counts] = field(default_factory=dict)
    """As `rows`, of two halves of stable's pods, where the source tells them apart (see control.py)."""
