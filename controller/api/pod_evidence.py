"""What is kept of a rejected version's pods, and whose it is."""

from __future__ import annotations

from dataclasses import dataclass

MOST_BYTES = 16 * 1024
"""Of one version, as JSON."""


@dataclass(frozen=True)
class RejectedVersion:
    """An attempt that ended with a rejection: what finds its AnalysisRun, or makes one."""

    revision: str
    stable: str
    attempt: int
    at: float
    """Seconds since the epoch."""
    verdict: str
    message: str
    run: str = ""
    """The AnalysisRun that it was rejected by; empty: the one that has the name of an attempt."""
