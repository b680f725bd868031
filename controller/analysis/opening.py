"""What has to be known before the first look, and the record that begins with it.

A rollout has one record. One that switches, and is judged before by copies or by people's own requests, has two: those
looks are compared with stable's beside them, and those after the switch with stable's before it. Each of the two has
half of the error budget.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial

from controller.analysis import advisers
from controller.analysis.asking import ask
from controller.analysis.before import BeforeSwitch
from controller.analysis.ingestion_delay import Ask, IngestionDelay, baseline_rates
from controller.analysis.method import compared_with_before, controlled, method_of
from controller.analysis.past import stables_past
from controller.analysis.record import Run
from controller.analysis.runs import Beginning, RunStore
from controller.analysis.sources import MetricTroubleError, Question
from controller.analysis.subject import Subject
from controller.analysis.thresholds import MOST_TESTS, chosen
from controller.api.reasons import Reason
from controller.api.status import Status
from controller.api.times import as_datetime
from controller.kube.objects import Key
from controller.ports import Window
from controller.rollout.observation import MetricTrouble
from controller.stats.before import Before
from controller.stats.counts import Counts, metric_of
from controller.stats.method import PREVIEWS_SHARE, AnalysisPlan

SWITCHED = "switched"
"""How a record of what was before a switch ends."""
Questions = Callable[[Subject, str], Awaitable[tuple[Question, ...]]]
"""Of a subject, and of whom it is compared with. Raises MetricTroubleError, KubeError."""


class Opening:
    def __init__(self, runs: RunStore, questions: Questions, clock: Callable[[], float]) -> None:
        self._runs = runs
        self._questions = questions
        self._delay = IngestionDelay(clock)
        self._before = BeforeSwitch()

    def forget(self, key: Key) -> None:
        self._delay.forget(key)
        self._before.forget(key)

    def learn_delay(self, subject: Subject, questions: Sequence[Question]) -> None:
        settle = subject.analysis.advanced.settle is None
        deciding = advisers.judging(questions)
        asking = _asking(deciding, subject.status, subject.target)
        source = deciding[0].provider if deciding else None
        self._delay.begin(subject.key, subject.attempt, asking, settle=settle, source=source)

    async def learn_before(self, subject: Subject, now: float) -> tuple[bool, MetricTrouble | None]:
        """Before a switch: whether there is too little of stable's looks yet, and why they cannot be had. Raises
        KubeError.
        """
        if not subject.is_compared_with_before or subject.is_after_switch:
            return False, None
        trouble = None
        try:
            await self._ask_before(subject, await self._questions(subject, subject.status.stable), now)
        except MetricTroubleError as error:
            trouble = error.trouble
        looks = self._before.looks(subject.key, subject.attempt)
        enough = {metric_of(name) for name, seen in looks.items() if Before.of(seen).total}
        lacks = any(metric.margin is not None and metric.name not in enough for metric in subject.analysis.judging)
        return lacks, trouble

    async def _ask_before(self, subject: Subject, questions: Sequence[Question], until: float) -> None:
        """Raises MetricTroubleError."""
        await self._before.learn(
            subject.key,
            subject.attempt,
            questions,
            subject.status,
            canary=subject.target,
            interval=subject.analysis.interval,
            until=until - self._settle(subject, self._runs.known(subject.key)),
        )

    def _settle(self, subject: Subject, known: Run | None) -> float:
        """A rollout keeps what it has learnt in its first record."""
        settle = subject.analysis.advanced.settle
        if known is not None and known.name == subject.preview_run:
            return known.plan.settle
        return self._delay.learnt(subject.key, subject.attempt) if settle is None else settle

    async def open(self, subject: Subject) -> Run:
        """Raises MetricTroubleError, KubeError."""
        key, status = subject.key, subject.status
        known = self._runs.known(key)
        if known is not None and known.name == subject.run:
            return known
        if known is None and status.run == subject.preview_run:
            # after a restart, or a source that was out when the second record should have begun
            known = await self._runs.written(key, status.run)
        settle, started = self._settle(subject, known), status.weight_since or 0.0
        # what was usual before the copies is in the record of before the switch
        learnt = self._delay.baseline_rates(key, subject.attempt) if known is None else known.baseline_rates
        if status.run not in ("", subject.run):
            # what was seen before the switch is in a record of its own, which ends here
            await self._runs.close(key, status.run, SWITCHED, f"{status.canary} passed its preview and was switched to")
        described = {
            "release": key.name,
            **({"stableRevision": status.stable} if status.stable else {}),
            **({"baselineRevision": status.baseline} if status.baseline else {}),
            "canaryRevision": status.canary,
            "attempt": status.attempts,
        }
        run = await self._runs.open(
            key,
            subject.run,
            subject=described,
            began=0.0 if status.attempt is None else status.attempt.clock.began,
            started=started,
            owner=subject.owner,
            begin=partial(self._begin, subject, settle, started, learnt),
        )
        self._delay.forget(key)  # the method stands
        if run.name != subject.preview_run:
            self._before.forget(key)
        return run

    async def _begin(self, subject: Subject, settle: float, started: float, learnt: Mapping[str, float]) -> Beginning:
        key, analysis, status = subject.key, subject.analysis, subject.status
        # what was before the canary is known of the pods that ran then
        questions = await self._questions(subject, status.stable)
        past = await stables_past(questions, status, started)
        part = PREVIEWS_SHARE if subject.has_two_runs else 1.0
        plan = method_of(analysis, settle, chosen(questions, past), reserve_at=subject.reserve_at, part=part)
        if subject.is_after_switch:
            await self._ask_before(subject, questions, started)
            plan = compared_with_before(plan, analysis, self._before.looks(key, subject.attempt))
        plan = await self._controlled(key, plan, questions)
        # asked once more: what was learnt may be older, or lost with the process that learnt it
        measured = await baseline_rates(_asking(advisers.judging(questions), status, status.canary), started)
        rates = {name: max(learnt.get(name, 0.0), measured.get(name, 0.0)) for name in {**learnt, **measured}}
        return plan, {name: rates[name] for name in (metric.name for metric in plan.metrics) if name in rates}

    async def _controlled(self, key: Key, plan: AnalysisPlan, questions: Sequence[Question]) -> AnalysisPlan:
        """Raises MetricTroubleError, KubeError."""
        halved = {question.name for question in questions if question.halves}
        tests = _tests(plan, halved)
        if tests > MOST_TESTS:
            plan = replace(plan, metrics=tuple(metric for metric in plan.metrics if not metric.advises))
            tests = _tests(plan, halved)
        if tests > MOST_TESTS:
            problem = f"the metrics, their thresholds and halves make {tests} tests, the maximum is {MOST_TESTS}"
            raise MetricTroubleError(Reason.METRIC_INVALID, f"{problem}: leave some out")
        return controlled(plan, halved, await self._runs.controls(key)) if halved else plan


def _tests(plan: AnalysisPlan, halved: Collection[str]) -> int:
    return len(plan.metrics) + sum(metric.metric in halved for metric in plan.metrics)


def _asking(questions: Sequence[Question], status: Status, target: str) -> Ask:
    """What the source says of stable between two moments; nothing where it cannot. The target has no work yet, and
    copies of requests are none.
    """

    async def between(start: float, end: float) -> dict[str, Counts]:
        window = Window(as_datetime(start), as_datetime(end))
        try:
            found = await ask(list(questions), window, stable=status.stable, canary=target)
        except MetricTroubleError:
            return {}
        return {name: Counts(0, 0, counts.stable_bad, counts.stable_total) for name, counts in found.items()}

    return between
