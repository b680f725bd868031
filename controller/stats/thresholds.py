"""Which thresholds of a latency are judged: chosen from what stable did, before the canary has any work.

A latency has no one threshold at which it gets worse: a version that waits for a lock is slower at the median, one
that misses a cache now and then only in the tail. So several are watched, each a count of its own, at the edges of the
histogram that stable's quantiles lie under.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SLOWER = (0.5, 0.25, 0.1, 0.05, 0.01, 0.001)
"""Of stable's units, this share is slower than the edge: p50, p75, p90, p95, p99 and p99.9."""
_PROOF = 0.1
"""Where a canary is proven no worse: far fewer units would prove nothing, and far more are not the slow ones."""


@dataclass(frozen=True)
class Thresholds:
    """Of one metric, in seconds as text, in their order."""

    edges: tuple[str, ...]
    always: str
    """The one of a promise that was made to callers."""
    proof: str
    """The one at which no worse is proven; a rollback may follow from each."""


def choose(history: Mapping[str, tuple[int, int]], always: str) -> Thresholds:
    """`history`: by edge, units of stable that were slower and all of them. `always`: the edge of a promise made.

    An edge is the least one that the quantile is not above. Without a history there is the promise alone.
    """
    edges = sorted((edge for edge, (_, total) in history.items() if total > 0), key=float)
    found = {share: _edge_of(share, edges, history) for share in SLOWER}
    chosen = {edge for edge in found.values() if edge is not None} | {always}
    return Thresholds(tuple(sorted(chosen, key=float)), always, found[_PROOF] or always)


def _edge_of(share: float, edges: list[str], history: Mapping[str, tuple[int, int]]) -> str | None:
    for edge in edges:
        slower, total = history[edge]
        if slower <= share * total:
            return edge
    return None
