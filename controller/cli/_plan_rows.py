"""What `plan` says of each step and metric, as a table, or as sentences where that does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One metric at one step."""

    step: int
    weight: float
    """Percent of the work, or of the requests that are copied."""
    metric: str
    at_most_s: float
    canary_units: int
    """Until `atMost`."""
    minutes_to_detect: dict[str, float | None]
    """By how many times as bad the canary is; None: never."""
    chance_to_detect: dict[str, float]
    """Before `atMost`, 0 to 1."""
    minutes_to_prove: float | None
    provable: bool
    """No worse can be proven before `atMost`, more likely than not."""
    copies: bool = False
    """The canary has copies of requests, and no work."""

    @property
    def share(self) -> str:
        return f"{self.weight:g}%{' of copies' if self.copies else ''}"


def shown(rows: Sequence[Row], width: int) -> list[str]:
    table = _table(rows) if rows else []
    return table if max(map(len, table), default=0) <= width else [line for row in rows for line in _lines(row)]


def _table(rows: Sequence[Row]) -> list[str]:
    width = max(len("metric"), *(len(row.metric) for row in rows))
    lifts = rows[0].minutes_to_detect
    wide = max(6, *(len(row.share) for row in rows))
    head = f"{'step':>4}  {'weight':>{wide}}  {'metric':<{width}}  {'units':>8}"
    lines = [head + "".join(f"  {lift + ' (chance)':>18}" for lift in lifts) + f"  {'proof':>9}"]
    for row in rows:
        cells = "".join(
            f"  {span(minutes):>9} ({row.chance_to_detect[name]:>5.0%})".ljust(20)
            for name, minutes in row.minutes_to_detect.items()
        )
        proof = span(row.minutes_to_prove)
        lines.append(
            f"{row.step:>4}  {row.share:>{wide}}  {row.metric:<{width}}  {row.canary_units:>8}{cells}  {proof:>9}"
        )
    return lines


def _lines(row: Row) -> list[str]:
    found = (
        f"{name} {span(minutes)} ({row.chance_to_detect[name]:.0%})" for name, minutes in row.minutes_to_detect.items()
    )
    return [
        f"step {row.step}, {row.share}, {row.metric}: {row.canary_units} units",
        f"  found (chance): {', '.join(found)}",
        f"  proof: {span(row.minutes_to_prove)}",
    ]


def span(minutes: float | None) -> str:
    if minutes is None:
        return "never"
    if minutes < 2:  # noqa: PLR2004
        return f"{minutes * 60:.0f} s"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"  # noqa: PLR2004
