"""Makes the looks: closed windows that touch and never overlap, one query per metric for both versions.

Looks go on in every phase from the first weight above 0. A window that could not be asked for stays due, so an
outage costs time and no counts.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from controller.analysis import late_points
from controller.analysis.asking import ask, ask_in_halves
from controller.analysis.ingestion_delay import Ask, Settling, usual
from controller.analysis.method import controlled, method_of
from controller.analysis.runs import Beginning, Run, RunStore, run_name
from controller.analysis.sources import MetricTroubleError, Question, Sources
from controller.analysis.thresholds import HISTORY_S, MOST_TESTS, chosen, judged
from controller.api.release import Analysis, Metric
from controller.api.status import Status
from controller.api.times import as_datetime
from controller.kube.objects import Key
from controller.ports import Window
from controller.rollout.observation import MetricTrouble, common_cause
from controller.stats.all_bad import Disaster, disaster
from controller.stats.counts import NOTHING, Counts, Look
from controller.stats.data_gap import missing
from controller.stats.evidence import NO_EVIDENCE, Evidence, units_since
from controller.stats.share_lag import follows_slowly
from controller.stats.share_mismatch import OF_THE_PROMISE, gap
from controller.stats.thresholds import Thresholds

_LOG = logging.getLogger(__name__)
_FAST_S = 1.0
_FAST_FOR_S = 30.0
"""After each change of weight, provisional counts are asked for this often, for so long."""
_CATCH_UP = 20
"""Windows asked for in one pass, so that a long absence does not keep a worker from the other Releases."""


@dataclass(frozen=True)
class Sight:
    """What the looks say now."""

    run: str = ""
    evidence: Evidence = NO_EVIDENCE
    step_units: int = 0
    trouble: MetricTrouble | None = None
    disaster: Disaster | None = None
    following: str = ""
    """That the router does not follow, in a sentence."""
    late: str = ""
    """What came too late for its look, in a sentence."""
    again_in: float | None = None


class Looker:
    def __init__(self, runs: RunStore, sources: Sources, lagged: Callable[[float], object] = lambda _: None) -> None:
        """`lagged` is told of each look how many seconds after its counts were complete it was made."""
        self._runs = runs
        self._sources = sources
        self._lagged = lagged
        self._settling = Settling(time.time)

    def forget(self, key: Key) -> None:
        self._settling.forget(key)

    def _learn(self, key: Key, status: Status, questions: tuple[Question, ...], target: str, *, settle: bool) -> None:
        self._settling.begin(key, _attempt(status, target), _asking(questions, status, target), settle=settle)

    async def look(
        self,
        key: Key,
        analysis: Analysis,
        status: Status,
        owner: Mapping[str, Any] | None,
        *,
        target: str,
        now: float,
        by_weight: bool = True,
        reserve_at: float | None = None,
    ) -> Sight:
        """Raises KubeError. What a metric system does wrong comes back as `trouble`.

        `by_weight`: a router splits the work as the weight says, and not the number of pods. `reserve_at`: the weight
        of a bake.
        """
        metrics = _judging(analysis.metrics, status)
        if not metrics or target == status.stable or status.is_rejected(target):
            return Sight()
        analysis = replace(analysis, metrics=metrics)
        try:
            questions = await self._sources.questions(key, metrics, stable=status.stable or target, canary=target)
        except MetricTroubleError as error:
            return Sight(trouble=error.trouble, run=status.run, again_in=analysis.interval)
        if status.canary != target or not (status.weight > 0 or status.run) or status.weight_since is None:
            self._learn(key, status, questions, target, settle=analysis.advanced.settle is None)
            silent = await heartbeats(questions, now, analysis.interval)
            return Sight(trouble=silent, again_in=None if silent is None else analysis.interval)
        try:
            run = await self._open(key, analysis, status, owner, questions, reserve_at)
        except MetricTroubleError as error:
            return Sight(trouble=error.trouble, again_in=analysis.interval)
        trouble = await self._catch_up(run, analysis, status, questions, now) or _missing(run, status)
        await _audit(run, questions, status)
        evidence = run.judge.evidence()
        split = by_weight and status.stable != ""
        trouble = trouble or common_cause(evidence) or (_gap(run, questions, status) if split else None)
        moved = run.weight_since != status.weight_since
        await self._runs.save(run, now, force=moved or evidence.regression is not None)
        run.weight_since = status.weight_since
        due = max(0.0, _next_end(run, analysis, status, questions) + run.plan.settle - now)
        found, fast = None, _is_fresh(status, now)
        if fast and evidence.regression is None:
            found = await provisional(run, questions, status, now)
        return Sight(
            run=run.name,
            evidence=evidence,
            step_units=units_since(run.looks, status.step_since),
            trouble=trouble,
            disaster=found,
            following=follows_slowly(run.looks, status.weight, status.weight_since) or "",
            late=late_points.sentence(run),
            again_in=min(due, _FAST_S) if fast else analysis.interval if trouble is not None else due,
        )

    async def _open(
        self,
        key: Key,
        analysis: Analysis,
        status: Status,
        owner: Mapping[str, Any] | None,
        questions: tuple[Question, ...],
        reserve_at: float | None,
    ) -> Run:
        subject = {
            "release": key.name,
            **({"stableRevision": status.stable} if status.stable else {}),
            "canaryRevision": status.canary,
            "attempt": status.attempt,
        }
        name = run_name(key, status.canary, status.attempt)
        started = status.weight_since or 0.0

        async def begin() -> Beginning:
            attempt = _attempt(status, status.canary)
            past = await _stables_past(questions, status, started)
            thresholds = chosen(questions, past)
            plan = method_of(analysis, self._settling.learnt(key, attempt), thresholds, reserve_at=reserve_at)
            halved = {question.name for question in questions if question.halves}
            tests = len(plan.metrics) + sum(metric.metric in halved for metric in plan.metrics)
            if tests > MOST_TESTS:
                problem = f"the metrics, their thresholds and halves make {tests} tests, at most {MOST_TESTS} are kept"
                raise MetricTroubleError("MetricInvalid", f"{problem}: leave some out")
            if halved:
                plan = controlled(plan, halved, await self._runs.controls(key))
            # asked once more: what was learnt may be older, or lost with the process that learnt it
            learnt = self._settling.usual(key, attempt)
            asked = await usual(_asking(questions, status, status.canary), started)
            rates = {name: max(learnt.get(name, 0.0), asked.get(name, 0.0)) for name in {**learnt, **asked}}
            return plan, {name: rates[name] for name in (metric.name for metric in plan.metrics) if name in rates}

        run = await self._runs.open(
            key,
            name,
            subject=subject,
            began=status.canary_since or 0.0,
            started=started,
            owner=owner,
            begin=begin,
        )
        self._settling.forget(key)  # the method stands
        return run

    async def _catch_up(
        self, run: Run, analysis: Analysis, status: Status, questions: tuple[Question, ...], now: float
    ) -> MetricTrouble | None:
        began = time.monotonic()
        for _ in range(_CATCH_UP):
            start, end = run.end, _next_end(run, analysis, status, questions)
            if end + run.plan.settle > now or run.judge.evidence().regression is not None:
                return None
            window = Window(as_datetime(start), as_datetime(end))
            warming = status.scaled_up is not None and start < status.scaled_up + analysis.advanced.warm_up
            ripe = [question for question in questions if start - question.maturity >= run.started]
            asked = [question for question in ripe if not (question.warm_up and warming)]
            try:
                found = await ask_in_halves(asked, window, stable=status.stable, canary=status.canary)
            except MetricTroubleError as error:
                self._sources.forget(run.key)  # its token may have been changed
                return error.trouble
            rows = judged(run.plan, asked, found.rows)
            halves = {name: counts for name, counts in found.halves.items() if name in rows and counts != NOTHING}
            if NOTHING in rows.values():
                # nobody called, or nobody counted: without a sign of life the window stays due
                silent = await heartbeats(asked, now, analysis.interval)
                if silent is not None:
                    return silent
            before = run.looks[-1].weight if run.looks else 0.0
            weight = status.weight if start >= (status.weight_since or 0.0) else before
            self._runs.add(run, Look(len(run.looks) + 1, start, end, weight, rows, halves))
            self._lagged(now - end - run.plan.settle + time.monotonic() - began)
        return None


async def _audit(run: Run, questions: tuple[Question, ...], status: Status) -> None:
    """What cannot be asked now is asked with the next look."""
    looks = late_points.stretch(run)
    if not looks:
        return
    counted = {metric.metric for metric in run.plan.metrics if all(metric.name in look.rows for look in looks)}
    asked = [question for question in questions if question.name in counted]
    window = Window(as_datetime(looks[0].start), as_datetime(looks[-1].end))
    try:
        found = await ask(asked, window, stable=status.stable, canary=status.canary)
        late_points.note(run, looks, judged(run.plan, asked, found))
    except MetricTroubleError as error:
        _LOG.info("%s: late points were not looked for: %s", run.name, error)


def _judging(metrics: tuple[Metric, ...], status: Status) -> tuple[Metric, ...]:
    """The first version, which has all of the work and no stable beside it, is held to its limits alone."""
    if status.stable:
        return metrics
    return tuple(metric for metric in metrics if metric.limit is not None) if status.step_started is not None else ()


def _attempt(status: Status, target: str) -> tuple[str, str, int]:
    """The attempt that is under way, or about to begin."""
    return status.stable, target, status.attempt + (status.canary != target)


async def heartbeats(questions: Iterable[Question], now: float, every: float) -> MetricTrouble | None:
    """The first source that gives no sign of life."""
    beating = {id(question.heartbeat): question.heartbeat for question in questions if question.heartbeat is not None}
    for heartbeat in beating.values():
        trouble = await heartbeat.trouble(now, every)
        if trouble is not None:
            return trouble
    return None


def _missing(run: Run, status: Status) -> MetricTrouble | None:
    sentence = missing(run.looks, run.usual) if status.weight > 0 else None
    return MetricTrouble("MetricsMissing", sentence) if sentence is not None else None


def _gap(run: Run, questions: tuple[Question, ...], status: Status) -> MetricTrouble | None:
    counted = {question.name for question in questions if question.at_router}
    names = [metric.name for metric in run.plan.metrics if metric.metric in counted]
    chance = run.plan.alpha * OF_THE_PROMISE
    sentence = gap(run.looks, names, status.weight, status.weight_since or 0.0, chance)
    return MetricTrouble("WorkMissing", sentence) if sentence is not None else None


def _is_fresh(status: Status, now: float) -> bool:
    """Disasters show at once; later ones are the looks' business, so that a long release costs no query a second."""
    return status.weight > 0 and status.weight_since is not None and now - status.weight_since <= _FAST_FOR_S


async def provisional(run: Run, questions: tuple[Question, ...], status: Status, now: float) -> Disaster | None:
    """Asked once a second, however often it is passed by: pods that come and go wake a Release many times."""
    if now - run.provisional_at >= _FAST_S:
        run.provisional_at = now
        run.provisional = await _provisional(run, questions, status, now)
    # what was found stays found until it is asked again: the write that acts on it may meet a conflict
    return run.provisional


async def _provisional(run: Run, questions: tuple[Question, ...], status: Status, now: float) -> Disaster | None:
    """From what has come in since the last look, complete or not. An outage here is the next look's to report."""
    odds = {metric.name: metric.odds for metric in run.plan.metrics if metric.odds is not None}
    if now <= run.end or not odds:
        return None
    window = Window(as_datetime(run.end), as_datetime(now))
    try:
        at_once = [question for question in questions if not question.maturity]
        rows = await ask(at_once, window, stable=status.stable, canary=status.canary)
    except MetricTroubleError:
        return None
    found = (disaster(name, counts, odds[name]) for name, counts in rows.items() if name in odds)
    return next((one for one in found if one is not None), None)


async def _stables_past(questions: tuple[Question, ...], status: Status, until: float) -> dict[str, tuple[int, int]]:
    """Units of stable, slower and all, at each threshold, before the canary had any. Raises MetricTroubleError."""
    asked = [question for question in questions if question.always]
    window = Window(as_datetime(until - HISTORY_S), as_datetime(until))
    rows = await ask(asked, window, stable=status.stable, canary=status.canary)
    return {name: (counts.stable_bad, counts.stable_total) for name, counts in rows.items()}


async def usual_counts(
    sources: Sources, key: Key, metrics: tuple[Metric, ...], status: Status, *, seconds: float
) -> tuple[dict[str, tuple[int, int]], dict[str, Thresholds]]:
    """Bad and all units of the versions that serve, by metric or threshold, in the last `seconds`, and the thresholds
    that would be chosen from them. Raises MetricTroubleError.
    """
    canary = status.canary or status.stable
    questions = await sources.questions(key, metrics, stable=status.stable, canary=canary)
    until = time.time()
    window = Window(as_datetime(until - seconds), as_datetime(until))
    rows = await ask(list(questions), window, stable=status.stable, canary=canary)
    alone = status.stable == canary  # then both sides of a row are the same counts
    found = {
        name: (counts.stable_bad, counts.stable_total)
        if alone
        else (counts.canary_bad + counts.stable_bad, counts.units)
        for name, counts in rows.items()
    }
    return found, chosen(questions, found)


def _asking(questions: tuple[Question, ...], status: Status, target: str) -> Ask:
    """What the source says between two moments; nothing where it cannot."""

    async def between(start: float, end: float) -> dict[str, Counts]:
        window = Window(as_datetime(start), as_datetime(end))
        try:
            return await ask(list(questions), window, stable=status.stable, canary=target)
        except MetricTroubleError:
            return {}

    return between


def _next_end(run: Run, analysis: Analysis, status: Status, questions: Iterable[Question]) -> float:
    """A window also ends where the weight changed, so that the share is constant in it: when it changed, and for what
    ripens, so much later.
    """
    changed = [run.started, *run.turns] + ([] if status.weight_since is None else [status.weight_since])
    later = {0.0, *(question.maturity for question in questions)}
    turns = (moment + maturity for moment in changed for maturity in later)
    return min([run.end + analysis.interval, *(turn for turn in turns if turn > run.end)])
