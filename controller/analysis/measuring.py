"""Measures one Release: closed windows that touch and never overlap, one query per metric for both versions.

Windows are measured in every phase from the first weight above 0. One that could not be asked for stays due, so an
outage costs time and no counts.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from math import inf

from controller.analysis import advisers, large_looks, late_points
from controller.analysis.asking import ask, ask_in_halves
from controller.analysis.cold_starts import ColdStarts
from controller.analysis.opening import Opening
from controller.analysis.provisional import at_once
from controller.analysis.record import Run
from controller.analysis.runs import RunStore
from controller.analysis.schedule import FAST_S, fast_moment, is_fresh, next_end, weight_at
from controller.analysis.sources import MetricTroubleError, Question, Sources
from controller.analysis.subject import AnalysisResult, Drain, Subject, WeightChange
from controller.analysis.thresholds import judged
from controller.analysis.verdict import result_of
from controller.api.metrics import COPIES_NOT_CLIENTS, NOT_CLIENTS
from controller.api.reasons import Reason
from controller.api.status import Status
from controller.api.times import as_datetime
from controller.kube.objects import Key
from controller.ports import Window
from controller.rollout.observation import MetricTrouble
from controller.stats.all_bad import Disaster
from controller.stats.counts import NOTHING, Look
from controller.stats.evidence import Evidence
from controller.stats.method import SETTLE_S

_LOG = logging.getLogger(__name__)
_CATCH_UP = 20
"""Windows asked for at once after a long absence."""

Measured = tuple[AnalysisResult, float | None]
"""What was found, and the seconds until the next measurement; None: when something is changed."""
Looked = Callable[[Key, Status, str, Look, Evidence], object]
"""Learns of each look: whose, the status it was made by, the revision beside the canary, what was found. It only takes
note, and at once.
"""


class Measuring:
    def __init__(
        self,
        runs: RunStore,
        sources: Sources,
        lagged: Callable[[float], object] = lambda _: None,
        clock: Callable[[], float] = time.time,
        looked: Looked = lambda *_: None,
    ) -> None:
        """`lagged` is called for each look with the seconds from when its counts were complete until it was made,
        `looked` with the look itself.
        """
        self._looked = looked
        self._runs = runs
        self._sources = sources
        self._lagged = lagged
        self._opening = Opening(runs, self._questions, clock)
        self._cold_starts = ColdStarts(sources)

    def forget(self, key: Key) -> None:
        self._cold_starts.forget(key)
        self._opening.forget(key)

    async def measure(self, subject: Subject, now: float, *, weight_known_until: float = inf) -> Measured:
        """Raises KubeError. What a metric system does wrong comes back as `trouble`.

        No window ends after `weight_known_until`: the share is constant in each.
        """
        analysis, status = subject.analysis, subject.status
        try:
            questions = await self._questions(subject, subject.reference if subject.measures else status.stable)
        except MetricTroubleError as error:
            return AnalysisResult(trouble=error.trouble, run=status.run), analysis.interval
        if not subject.measures:
            self._opening.learn_delay(subject, questions)
            deciding = advisers.judging(questions)
            silent = await heartbeats(deciding, now, analysis.interval)
            beats = any(question.heartbeat is not None for question in deciding)
            lacks, trouble = await self._opening.learn_before(subject, now)
            every = beats or subject.is_compared_with_before
            return AnalysisResult(trouble=silent or trouble, lacks_before=lacks), analysis.interval if every else None
        try:
            run = await self._opening.open(subject)
        except MetricTroubleError as error:
            return AnalysisResult(trouble=error.trouble), analysis.interval
        found = await self._catch_up(run, subject, questions, now, weight_known_until)
        if run.closed:
            return AnalysisResult(), None
        await self._audit(run, subject)
        lacks, trouble = await self._opening.learn_before(subject, now)
        if found is None:
            await self._cold_starts.learn(run, subject)
        result = replace(
            result_of(subject, run, questions, found or trouble),
            lacks_before=lacks,
            cold_start=self._cold_starts.sentence(run),
        )
        moved = run.weight_since != status.weight_since
        if not run.closed:
            await self._runs.save(run, now, force=moved or result.evidence.regression is not None)
        run.weight_since = status.weight_since
        return result, self._again_in(run, subject, questions, result, now)

    async def was_quiet(self, drain: Drain, now: float) -> bool:
        """Whether the old versions had no unit in the last `drain.quiet` seconds for which the counts are in.

        False while the source does not say. Raises KubeError.
        """
        settle = drain.analysis.advanced.settle
        end = now - (SETTLE_S if settle is None else settle)
        start = end - drain.quiet
        if start < drain.since:
            return False
        window = Window(as_datetime(start), as_datetime(end))
        try:
            for old in drain.old:
                questions = await self._sources.questions(
                    drain.key, drain.analysis.judging, stable=drain.stable, canary=old
                )
                rows = await ask(questions, window, stable=drain.stable, canary=old)
                if any(counts.canary_total for counts in rows.values()):
                    return False
        except MetricTroubleError as error:
            _LOG.info("it is unknown whether %s still gets work: %s", ", ".join(drain.old), error)
            return False
        return True

    async def provisional(self, subject: Subject, now: float) -> Disaster | None:
        """Of the time since the last window, complete or not; asked while the weight is fresh, in no look.

        Without a baseline looks test nothing, so this goes on with each of them.
        """
        run = self._runs.known(subject.key)
        if run is None or not subject.measures or not (subject.lacks_baseline or is_fresh(subject.status, now)):
            return None
        if run.judge.evidence().regression is not None:
            return None
        try:
            questions = await self._questions(subject, subject.reference)
        except MetricTroubleError:
            return None  # the measurement reports it
        return await at_once(run, questions, subject, now)

    async def _questions(self, subject: Subject, reference: str) -> tuple[Question, ...]:
        """`reference`: whom the canary is compared with; templates know it as stable.

        Raises MetricTroubleError, KubeError.
        """
        metrics, stable = subject.analysis.metrics, reference or subject.target
        questions = await self._sources.questions(subject.key, metrics, stable=stable, canary=subject.target)
        return tuple(_of_fitting_unit(question, subject) for question in questions)

    @staticmethod
    def _again_in(
        run: Run, subject: Subject, questions: Sequence[Question], result: AnalysisResult, now: float
    ) -> float | None:
        if result.evidence.regression is not None:
            return None  # nothing that comes would change it
        # one that is overdue waits for a pass to say which weight is in force
        due = max(FAST_S / 4, _next_end(run, subject, questions) + run.plan.settle - now)
        if is_fresh(subject.status, now):
            return min(due, fast_moment(now, run.end) + FAST_S - now)
        return subject.analysis.interval if result.trouble is not None else due

    async def _catch_up(
        self, run: Run, subject: Subject, questions: Sequence[Question], now: float, weight_known_until: float = inf
    ) -> MetricTrouble | None:
        analysis, status = subject.analysis, subject.status
        began = time.monotonic()
        for _ in range(_CATCH_UP):
            start, end = run.end, _next_end(run, subject, questions)
            due = end + run.plan.settle <= now and end <= weight_known_until
            if not due or run.judge.evidence().regression is not None or self._runs.is_over(run):
                return None
            window = Window(as_datetime(start), as_datetime(end))
            before = WeightChange.before(run.looks[-1] if run.looks else None)
            force = weight_at(start, subject.weights, before=before)
            reference = subject.reference_at(force.baseline)
            queries = questions
            if reference != subject.reference:
                try:
                    queries = await self._questions(subject, reference)
                except MetricTroubleError as error:
                    return error.trouble
            ready = advisers.askable(_ready(advisers.as_planned(queries, run), run, subject, start, force), run, now)
            try:
                found = await ask_in_halves(ready, window, stable=reference, canary=status.canary)
            except MetricTroubleError as error:
                self._sources.forget(run.key)  # its token may have been changed
                return error.trouble
            advisers.note(run, ready, found.failed, now)
            ready = [question for question in ready if question.name not in found.failed]
            rows = judged(run.plan, ready, found.rows)
            # the baseline's halves are compared with each other, and not those of warm pods
            split = {} if force.baseline is not None and force.baseline <= 0 else found.halves
            halves = {name: counts for name, counts in split.items() if name in rows and counts != NOTHING}
            if NOTHING in [counts for name, counts in rows.items() if name in run.plan.judging]:
                # no requests, or nothing that counts them: without a sign of life the window stays due
                silent = await heartbeats(advisers.judging(ready), now, analysis.interval)
                if silent is not None:
                    return silent
            if self._runs.is_over(run):
                return None  # the attempt ended while the source was asked
            if (unjudged := large_looks.trouble_with(run, rows, halves)) is not None:
                return unjudged
            look = Look(
                len(run.looks) + 1,
                start,
                end,
                force.weight,
                rows,
                halves,
                force.baseline,
                copied=force.copied,
                chosen=force.chosen,
            )
            if large_looks.is_large(rows, halves):
                await self._runs.write_ahead(run, look)
                if self._runs.is_over(run):
                    return None
            self._runs.add(run, look)
            self._lagged(now - end - run.plan.settle + time.monotonic() - began)
            self._looked(subject.key, status, reference, look, run.judge.evidence())
        return None

    async def _audit(self, run: Run, subject: Subject) -> None:
        """What cannot be asked now is asked with the next look."""
        looks = late_points.stretch(run)
        if not looks:
            return
        references = {subject.reference_at(look.baseline) for look in looks}
        if len(references) > 1:
            late_points.note(run, looks, {})  # no one question fits all of them
            return
        counted = {metric.metric for metric in run.plan.metrics if all(metric.name in look.rows for look in looks)}
        window = Window(as_datetime(looks[0].start), as_datetime(looks[-1].end))
        reference = references.pop()
        try:
            questions = advisers.as_planned(await self._questions(subject, reference), run)
            chosen = [each for each in questions if each.name in counted and each.name not in run.unmeasured]
            found = await ask_in_halves(chosen, window, stable=reference, canary=subject.status.canary)
            answered = [each for each in chosen if each.name not in found.failed]
            late_points.note(run, looks, judged(run.plan, answered, found.rows))
        except MetricTroubleError as error:
            _LOG.info("%s: late points were not counted: %s", run.name, error)


def _of_fitting_unit(question: Question, subject: Subject) -> Question:
    """Raises MetricTroubleError."""
    problem = ""
    if subject.sticky and not question.counts_clients:
        problem = NOT_CLIENTS
    elif subject.status.copied and question.counts_clients:
        problem = COPIES_NOT_CLIENTS
    if problem and not question.advises:
        raise MetricTroubleError(Reason.METRIC_INVALID, f"metric {question.name}: {problem}")
    return Question.unanswerable(question.name, problem) if problem else question


async def heartbeats(questions: Iterable[Question], now: float, every: float) -> MetricTrouble | None:
    """The first source that gives no sign of life."""
    beating = {id(question.heartbeat): question.heartbeat for question in questions if question.heartbeat is not None}
    for heartbeat in beating.values():
        trouble = await heartbeat.trouble(now, every)
        if trouble is not None:
            return trouble
    return None


def _ready(
    questions: Iterable[Question], run: Run, subject: Subject, start: float, force: WeightChange
) -> list[Question]:
    """Those that can be asked of a look that begins at `start`, and whose answer may be judged."""
    analysis = subject.analysis
    warming = start < _cold_since(subject.status) + analysis.advanced.warm_up
    ripe = [question for question in questions if start - question.maturity >= run.started]
    ready = [question for question in ripe if not (question.warm_up and warming)]
    # before a switch nothing but copies is a random part of the work
    if force.compares and (force.copied > 0 or run.name != subject.preview_run):
        return ready
    limited = {metric.name for metric in analysis.metrics if metric.limit is not None}
    return [question for question in ready if question.name in limited]


def _cold_since(status: Status) -> float:
    """Since when pods may be cold: since they were asked for, and if they get work later, since then."""
    if status.scaled_up is None:
        return -inf
    return max(status.scaled_up, status.weight_since or 0.0)


def _next_end(run: Run, subject: Subject, questions: Iterable[Question]) -> float:
    return next_end(
        run.end,
        subject.analysis.interval,
        started=run.started,
        turns=run.turns,
        weights=subject.weights,
        maturities={question.maturity for question in questions},
    )
