"""Releases as rows: where each stands, and what its decision hangs on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from controller.views.explanation import age_of

_COLUMNS = ("NAME", "PHASE", "STEP", "WEIGHT", "READY", "REASON", "EVIDENCE", "AGE")
_SHORT = ("PHASE", "STEP", "REASON", "AGE")
"""What stands below a name, with the weight; `Ready` follows from the phase."""
_GAP = 2
_INDENT = 2


def row_of(release: Mapping[str, Any]) -> dict[str, Any]:
    raw = release.get("status", {})
    ready = next((item["status"] for item in raw.get("conditions", []) if item["type"] == "Ready"), "Unknown")
    return {
        "namespace": release["metadata"]["namespace"],
        "name": release["metadata"]["name"],
        "phase": raw.get("phase", "Pending"),
        "step": raw.get("progress", ""),
        "weight": raw.get("weight", 0),
        "ready": ready,
        "reason": raw.get("reason", ""),
        "evidence": raw.get("evidence", ""),
        "stable": raw.get("stableRevision", ""),
        "canary": raw.get("canaryRevision", ""),
        "message": raw.get("message", ""),
    }


def listing(releases: Sequence[Mapping[str, Any]], now: float, width: int, *, with_namespace: bool) -> RenderableType:
    """A table where it fits into `width`; else a name to a line, and what is known of it below. `releases` holds one or
    more.
    """
    rows = [_with_age(release, now) for release in releases]
    columns = ("NAMESPACE", *_COLUMNS) if with_namespace else _COLUMNS
    if sum(_widest(column, rows) + _GAP for column in columns) - _GAP <= width:
        return _table(columns, rows)
    return Group(*(part for row in rows for part in _block(row, rows, with_namespace=with_namespace)))


def _table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Table:
    result = Table(box=None, pad_edge=False, header_style="")
    for column in columns:
        result.add_column(column, no_wrap=True)
    for row in rows:
        result.add_row(*(str(row[column.lower()]) for column in columns))
    return result


def _block(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], *, with_namespace: bool) -> list[RenderableType]:
    """Below each other the blocks stand in columns, too."""
    name = f"{row['namespace']}/{row['name']}" if with_namespace else row["name"]
    cells = [str(row[column.lower()]).ljust(_widest(column, rows, head="")) for column in _SHORT]
    share = f"{row['weight']:g} %".ljust(5)
    words = (" " * _GAP).join((*cells[:2], share, *cells[2:])).rstrip()
    lines = [words, row["evidence"]] if row["evidence"] else [words]
    return [Text(name, overflow="fold"), *(Padding(Text(line), (0, 0, 0, _INDENT), expand=False) for line in lines)]


def _widest(column: str, rows: Sequence[Mapping[str, Any]], head: str | None = None) -> int:
    return max(map(len, (column if head is None else head, *(str(row[column.lower()]) for row in rows))))


def _with_age(release: Mapping[str, Any], now: float) -> dict[str, Any]:
    return row_of(release) | {"age": age_of(release, now)}
