"""Durations by fixed edges, so that histograms of two versions can be compared edge by edge."""

from bisect import bisect_left
from itertools import accumulate


class Histogram:
    """Cumulative over its edges: `le_X` is how many took at most X seconds."""

    def __init__(self, edges: tuple[float, ...]) -> None:
        self._edges = edges
        self._places = [0] * (len(edges) + 1)  # by the first edge that it fits under; the last is beyond all
        self._total = 0.0

    def add(self, seconds: float) -> None:
        self._places[bisect_left(self._edges, seconds)] += 1
        self._total += seconds

    def fields(self) -> dict[str, int | float]:
        *up_to, count = accumulate(self._places)
        names = (f"le_{edge:g}" for edge in self._edges)
        return {"count": count, **dict(zip(names, up_to, strict=True)), "sum": self._total}
