"""The analysis of the world of `world.py`: it opens records and looks, by the names that the operator gives them."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any

from controller.analysis.record import PREVIEW
from controller.analysis.subject import Subject
from controller.kube.objects import Key
from tests.unit.rollout.cluster import Metrics
from tests.unit.rollout.happenings import Happenings
from tests.unit.rollout.runs import Run, of_canary

_SHOP = Key("shop", "shop")


@dataclass
class Looking(Happenings):
    metrics: Metrics = field(default_factory=Metrics)
    follows: bool = True
    """The router does what was written."""
    settle_s: float = 0.0
    """So much later looks come."""
    attempts: dict[str, Run] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict)
    last_look: float = 0.0
    looked_until: float = 0.0

    @abstractmethod
    def _keep(self, raw: dict[str, Any]) -> None: ...

    def _start_run(self) -> None:
        """The engine opens an AnalysisRun for an attempt and writes its name into the status. One that switches, and
        is judged before, has two.
        """
        status, switches = self.release, self.spec.strategy.switches
        waits = switches and status.stable and status.weight <= 0
        if waits and not status.copied and not status.chosen:
            return
        name = Subject(_SHOP, self.spec.analysis, status, None, status.canary, switches=switches).run
        if name == status.run:
            return
        run = Run.of(self.spec, status, before_switch=name.endswith(PREVIEW))
        if run is None:
            return
        self.attempts.setdefault(name, run)
        self._keep({**self.raw, "analysisRun": name})
        self.last_look = self.looked_until = self.cluster.now

    def _look(self) -> None:
        status, run = self.release, self.attempts.get(self.release.run)
        share = self.cluster.share_of(status.canary) if status.canary else 0
        start, self.last_look = self.last_look, self.cluster.now
        reached = share or status.copied or status.chosen
        if run is None or self.metrics.trouble or self.spec.suspend:
            return
        self.looked_until = self.cluster.now - self.settle_s
        if not reached:
            return
        if self.spec.strategy.switches and status.stable and not status.chosen:
            assert (share <= 0) == status.run.endswith(PREVIEW), f"{share:g} % of the work in {status.run}"
        seen = share if self.follows else 0.0
        rest = self.cluster.share_of(status.baseline) if status.baseline else None
        beside = status.baseline if rest else status.stable
        canary, stable = self.cluster.behavior(status.canary), self.cluster.behavior(beside)
        now, advice = self.cluster.now, self.metrics.advice
        if not share:
            counts = self.metrics.of_copies(status.copied or self.metrics.chosen, canary, stable)
            run.look(start, now, 0.0, counts, copied=status.copied, chosen=status.chosen, advice=advice)
            return
        counts = self.metrics.counts(seen, canary, stable, rest or None)
        counts = counts if status.stable else of_canary(counts)
        run.look(start, now, share, counts, baseline=rest, advice=advice)
