"""What was kept of a rejected version's pods, in lines: pure, from the AnalysisRun's `status.podEvidence`."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from typing import Any

_FIRST_SIGNAL = 128
"""A shell's and a runtime's exit code for signal n is this and n."""


def pod_evidence_lines(revision: str, kept: Mapping[str, Any]) -> list[str]:
    """A sentence where it is not as this version writes it."""
    try:
        return list(_lines(revision, kept))
    except (AttributeError, KeyError, TypeError, ValueError):
        return [f"what was kept of {revision} cannot be read: somebody, or another version of Pointsman, wrote it"]


def _lines(revision: str, kept: Mapping[str, Any]) -> Iterator[str]:
    pods = kept.get("pods", 0)
    yield f"kept of {revision}, before its pods were scaled down ({pods} {'pod' if pods == 1 else 'pods'}):"
    for exit_ in kept.get("exits", ()):
        yield f"  {_exit(exit_)}"
    for event in kept.get("events", ()):
        times = f" ({event['count']} times)" if event["count"] > 1 else ""
        yield f"  event {event['reason']} of {event.get('object', '')}{times}: {event.get('message', '')}"
    if kept.get("errors"):
        yield "  most frequent errors:"
        yield from (f"    {error['count']} × {error['line']}" for error in kept["errors"])
    for log in kept.get("logs", ()):
        when = " before its last restart" if log.get("previous") else ""
        yield f"  last lines of {log['pod']}, container {log['container']}{when}:"
        yield from (f"    {line}" for line in log["lines"])
    yield from (f"  not kept: {sentence}" for sentence in kept.get("notKept", ()))


def _exit(found: Mapping[str, Any]) -> str:
    where = f"{found['pod']}, container {found['container']}" if "container" in found else found["pod"]
    said = []
    if "exitCode" in found:
        said.append(f"exit code {found['exitCode']}{_signal(found)}")
    if found.get("reason") and found["reason"] != "Error":
        said.append(found["reason"])
    if found.get("restarts"):
        said.append("1 restart" if found["restarts"] == 1 else f"{found['restarts']} restarts")
    if "waiting" in found:
        said.append(f"waits ({found['waiting']})")
    message = f": {found['message']}" if found.get("message") else ""
    return f"{where}: {', '.join(said)}{message}"


def _signal(found: Mapping[str, Any]) -> str:
    number = found.get("signal") or found["exitCode"] - _FIRST_SIGNAL
    try:
        return f" ({signal.Signals(number).name})"
    except ValueError:
        return ""
