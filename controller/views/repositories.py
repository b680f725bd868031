"""ReleaseRepositories in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

_SHORT = 10


def row_of(repository: Mapping[str, Any]) -> dict[str, Any]:
    metadata, spec = repository["metadata"], repository.get("spec") or {}
    status = repository.get("status") or {}
    conditions = {one.get("type"): one for one in status.get("conditions") or () if isinstance(one, Mapping)}
    ready = conditions.get("Ready", {})
    return {
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "url": spec.get("url", ""),
        "branch": spec.get("branch", "main"),
        "path": spec.get("path", ""),
        "suspended": bool(spec.get("suspend")),
        "observedCommit": status.get("observedCommit", ""),
        "appliedCommit": status.get("appliedCommit", ""),
        "objects": status.get("objects", 0),
        "ready": ready.get("status") == "True",
        "stalled": conditions.get("Stalled", {}).get("status") == "True",
        "reason": ready.get("reason", ""),
        "message": ready.get("message", ""),
        "failures": list(status.get("failures") or ()),
    }


def listing(repositories: Sequence[Mapping[str, Any]], *, with_namespace: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="")
    names = ("NAMESPACE", "NAME", "BRANCH", "APPLIED", "OBJECTS", "READY", "REASON", "MESSAGE")
    for name in names[0 if with_namespace else 1 :]:
        table.add_column(name, overflow="fold")
    for one in map(row_of, repositories):
        cells = (
            one["namespace"],
            one["name"],
            one["branch"],
            one["appliedCommit"][:_SHORT],
            str(one["objects"]),
            str(one["ready"]),
            one["reason"],
            one["message"],
        )
        table.add_row(*cells[0 if with_namespace else 1 :])
    return table
