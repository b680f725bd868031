"""With `baseline: fresh`: whether new pods of the stable version are worse than those that run.

What a cold start costs shows in nothing else, for the looks compare new pods with new pods. Every few looks the sources
are asked once more, for the baseline beside stable, and the counts are held to the margin of the metric by the same
test as a canary's. No version is judged by that. It is bounded: so many stretches of an attempt, which are cut by its
looks alone, so that a restart comes to the same.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from controller.analysis import large_looks
from controller.analysis.asking import ask
from controller.analysis.record import Run
from controller.analysis.sources import MetricTroubleError, Sources
from controller.analysis.subject import Subject
from controller.analysis.thresholds import judged
from controller.api.reasons import Reason
from controller.api.times import as_datetime
from controller.kube.objects import Key
from controller.ports import Window
from controller.stats.counts import Look, metric_of
from controller.stats.judge import Judge
from controller.stats.method import AnalysisPlan

_LOG = logging.getLogger(__name__)
STRETCH = 6
"""Looks: a sixth more queries."""
MOST_STRETCHES = 20
_AT_ONCE = 4
"""Stretches, after a restart."""


@dataclass
class _Compared:
    run: str
    judge: Judge
    looks: int = 0
    """Of the run: so many are done with."""
    stretches: int = 0


@dataclass
class ColdStarts:
    sources: Sources
    _known: dict[Key, _Compared] = field(default_factory=dict)

    def forget(self, key: Key) -> None:
        self._known.pop(key, None)

    async def learn(self, run: Run, subject: Subject) -> None:
        """Raises KubeError."""
        known = self._known.get(run.key)
        if known is None or known.run != run.name:
            known = self._known[run.key] = _Compared(run.name, Judge(_plan_of(run.plan)))
        for _ in range(_AT_ONCE):
            looks = _next_stretch(run.looks, known)
            is_over = known.stretches >= MOST_STRETCHES or known.judge.evidence().regression is not None
            if not looks or is_over or not known.judge.plan.metrics:
                return
            try:
                await self._compare(run, subject, known, looks)
            except MetricTroubleError as error:
                _LOG.info("%s: the baseline was not compared with stable: %s", run.name, error)
                if error.trouble.reason is Reason.SOURCE_OUTAGE:
                    return  # it is asked again with the next look
            known.looks += len(looks)
            known.stretches += 1

    def sentence(self, run: Run) -> str:
        """That new pods are worse, and by how much; empty where that is not known."""
        known = self._known.get(run.key)
        if known is None or known.run != run.name:
            return ""
        overdispersed = {metric.name for metric in run.judge.evidence().metrics if metric.overdispersed}
        worse = known.judge.evidence().regression
        if worse is None or worse.name in overdispersed:
            return ""
        return (
            f"new pods of stable are worse than those that run: {worse.sentence()}. That is what a cold start costs; "
            "the canary is compared with the new ones"
        )

    async def _compare(self, run: Run, subject: Subject, known: _Compared, looks: Sequence[Look]) -> None:
        """Raises MetricTroubleError, KubeError."""
        stable, baseline = subject.reference_at(None), subject.reference_at(looks[0].baseline)
        names = {metric_of(name) for name in looks[0].rows} & {metric.metric for metric in known.judge.plan.metrics}
        metrics = tuple(metric for metric in subject.analysis.metrics if metric.name in names)
        questions = await self.sources.questions(run.key, metrics, stable=stable, canary=baseline)
        window = Window(as_datetime(looks[0].start), as_datetime(looks[-1].end))
        found = judged(known.judge.plan, questions, await ask(questions, window, stable=stable, canary=baseline))
        if not large_looks.is_large(found, {}):
            first = looks[0]
            known.judge.add(Look(known.stretches + 1, first.start, looks[-1].end, first.weight, found))


def _plan_of(plan: AnalysisPlan) -> AnalysisPlan:
    """What is compared with stable, by the same margins, and nothing is proven."""
    compared = [
        metric for metric in plan.metrics if metric.limit is None and metric.before is None and not metric.advises
    ]
    metrics = tuple(replace(metric, promote=None, control=None) for metric in compared)
    return replace(plan, metrics=metrics, horizon=MOST_STRETCHES, reserve_at=None)


def _next_stretch(looks: Sequence[Look], known: _Compared) -> Sequence[Look]:
    """Of one share, and of the same rows; nothing while it may still grow."""
    while known.looks < len(looks) and not (looks[known.looks].baseline and looks[known.looks].rows):
        known.looks += 1
    found: list[Look] = []
    for look in looks[known.looks : known.looks + STRETCH]:
        if found and not _alike(found[0], look):
            return found
        found.append(look)
    return found if len(found) == STRETCH else ()


def _alike(one: Look, other: Look) -> bool:
    return (one.weight, one.baseline, one.rows.keys()) == (other.weight, other.baseline, other.rows.keys())
