"""What is counted: one row per look and metric, deltas of that look only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import add
from typing import NamedTuple, Self

MOST_UNITS = 10**9
"""Of one row in one look, on one side. More is no count of anybody's requests but a query that is wrong, and the law of
such a look has no bound in memory.
"""


_WHOLE = 100.0


class _Counts(NamedTuple):
    canary_bad: int
    canary_total: int
    stable_bad: int
    stable_total: int


class Counts(_Counts):
    """Bad and exposed units of canary and stable in one look. A unit is whatever the router routes."""

    __slots__ = ()

    def __new__(cls, canary_bad: int, canary_total: int, stable_bad: int, stable_total: int) -> Self:
        if not (0 <= canary_bad <= canary_total and 0 <= stable_bad <= stable_total):
            bad, total = (canary_bad, canary_total) if canary_bad > canary_total else (stable_bad, stable_total)
            raise ValueError(f"{bad} bad of {total} units is impossible")
        return tuple.__new__(cls, (canary_bad, canary_total, stable_bad, stable_total))

    @property
    def units(self) -> int:
        """Of both versions."""
        return self.canary_total + self.stable_total

    def __add__(self, other: Counts) -> Counts:  # type: ignore[override]
        """Both looks' units together, and not one tuple after the other."""
        return Counts(*map(add, self, other))


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
    baseline: float | None = None
    """Percent of the work on new pods of stable, where rows have those in place of stable; None: stable has the rest.
    With 0 the new pods had no work, and rows have stable's other pods: limits are watched there, no margin is tested.
    """
    copied: float = 0.0
    """Percent of the requests whose copies the canary had, while it had no work. Stable had all of them as well."""
    chosen: bool = False
    """Requests that people choose reached the canary, which had no work: they are no random part of all."""

    @property
    def lacks_baseline(self) -> bool:
        """There is to be a baseline, and it had no work."""
        return self.baseline is not None and self.baseline <= 0

    @property
    def compared(self) -> float:
        """Percent of the work that rows count; copies count beside what they are copies of."""
        if self.copied:
            return _WHOLE + self.copied
        return self.weight + self.baseline if self.baseline else _WHOLE

    @property
    def share(self) -> float:
        """The canary's part of the units in rows that is to be expected, 0 to 1."""
        return (self.copied or self.weight) / self.compared if self.compared > 0 else 0.0
