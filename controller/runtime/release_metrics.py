"""Metrics of Releases: how many are in each phase, and one by one those at which somebody may have to look.

A Release that is healthy has no series of its own, and no more than MOST have: what tenants make costs a scrape a
bounded amount of time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from controller.api.git_origin import GIT
from controller.api.phase import Phase
from controller.api.status import Status
from controller.kube.objects import Key

MOST = 1_000
_RECENT_S = 86_400.0
_LABELS = ("namespace", "release")


@dataclass(frozen=True)
class _Standing:
    phase: Phase
    reason: str
    rolled_back_at: float | None
    owed_to_git_since: float | None

    def rolled_back_since(self, moment: float) -> bool:
        return self.rolled_back_at is not None and self.rolled_back_at > moment

    @classmethod
    def of(cls, status: Status) -> _Standing:
        last = status.last_rollback
        owed = [item.since for item in status.owed if item.effect.kind == GIT]
        return cls(status.phase, str(status.reason), None if last is None else last.at, min(owed, default=None))

    def deserves_a_look(self, now: float) -> bool:
        recent = self.rolled_back_since(now - _RECENT_S)
        return self.phase is not Phase.HEALTHY or recent or self.owed_to_git_since is not None


class ReleaseMetrics(Collector):
    """A StatusListener."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._standings: dict[Key, _Standing] = {}

    def status(self, key: Key, status: Status) -> None:
        self._standings[key] = _Standing.of(status)

    def forget(self, key: Key) -> None:
        self._standings.pop(key, None)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        now = self._clock()
        counts = Counter(standing.phase for standing in self._standings.values())
        phases = GaugeMetricFamily("pointsman_releases", "Releases in each phase.", labels=("phase",))
        for phase in Phase:
            phases.add_metric((phase,), counts[phase])
        yield phases
        shown = [(key, one) for key, one in self._standings.items() if one.deserves_a_look(now)]
        yield GaugeMetricFamily(
            "pointsman_releases_unlisted",
            f"Releases that are not healthy and have no series of their own, as there are more than {MOST}.",
            value=max(0, len(shown) - MOST),
        )
        yield from _one_by_one(shown[:MOST], now - _RECENT_S)


def _one_by_one(shown: Iterable[tuple[Key, _Standing]], since: float) -> Iterator[GaugeMetricFamily]:
    phase = GaugeMetricFamily(
        "pointsman_release_phase",
        "1 for the phase of a Release that is not healthy.",
        labels=(*_LABELS, "phase", "reason"),
    )
    rollback = GaugeMetricFamily(
        "pointsman_release_last_rollback_timestamp_seconds",
        "When a Release was rolled back last; for a day.",
        labels=_LABELS,
    )
    git = GaugeMetricFamily(
        "pointsman_release_git_owed_since_timestamp_seconds",
        "Since when the commit of a rollback is owed to git.",
        labels=_LABELS,
    )
    for key, standing in shown:
        if standing.phase is not Phase.HEALTHY:
            phase.add_metric((key.namespace, key.name, standing.phase, standing.reason), 1)
        if standing.rolled_back_at is not None and standing.rolled_back_since(since):
            rollback.add_metric((key.namespace, key.name), standing.rolled_back_at)
        if standing.owed_to_git_since is not None:
            git.add_metric((key.namespace, key.name), standing.owed_to_git_since)
    yield from (phase, rollback, git)
