"""Releases as rows: where each stands, and what its decision hangs on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from controller.views.explanation import age_of

_COLUMNS = ("NAME", "PHASE", "STEP", "WEIGHT", "READY", "REASON", "EVIDENCE", "AGE")
_FOLD = frozenset({"NAMESPACE", "NAME", "EVIDENCE"})
"""In a narrow terminal these fold; a column that shrank would lose its words without a sign."""


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


def table(releases: Sequence[Mapping[str, Any]], now: float, *, with_namespace: bool) -> Table:
    """`releases` holds one or more."""
    result = Table(box=None, pad_edge=False, header_style="")
    columns = ("NAMESPACE", *_COLUMNS) if with_namespace else _COLUMNS
    rows = [[str(cell[column.lower()]) for column in columns] for cell in (_with_age(one, now) for one in releases)]
    for column, cells in zip(columns, zip(*rows, strict=True), strict=True):
        widest = max(map(len, (column, *cells)))
        result.add_column(column, overflow="fold", min_width=None if column in _FOLD else widest)
    for row in rows:
        result.add_row(*row)
    return result


def _with_age(release: Mapping[str, Any], now: float) -> dict[str, Any]:
    return row_of(release) | {"age": age_of(release, now)}
