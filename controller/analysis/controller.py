"""Analysis beside the reconcile loop: a pass says what is to be analyzed and reads the last result; it never waits.

Each Release under analysis is measured by a task of its own, one at a time, which waits for nothing but its own
sources: the number of questions that one source is asked at once is bounded (`sources.py`), so a source that hangs
keeps no other source, no Release without metrics, and no abort from its turn. What was found wakes the Release.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from controller.analysis.measuring import Measured, Measuring
from controller.analysis.runs import RunStore
from controller.analysis.schedule import patience_s
from controller.analysis.subject import AnalysisResult, Subject
from controller.api.reasons import Reason
from controller.kube.client import ConflictError, KubeError
from controller.kube.objects import Key
from controller.rollout.observation import MetricTrouble
from controller.stats.evidence import units_since
from controller.stats.share_lag import follows_slowly
from controller.workqueue import WorkQueue

_LOG = logging.getLogger(__name__)
_NOTHING = AnalysisResult()
_PENDING = AnalysisResult(pending=True)


@dataclass
class _Entry:
    """A Release under analysis."""

    subject: Subject
    result: AnalysisResult = _PENDING
    asking_since: float | None = None
    """Since when a measurement is under way, by the loop's clock."""


class AnalysisController:
    def __init__(
        self,
        measuring: Measuring,
        runs: RunStore,
        clock: Callable[[], float],
        wake: Callable[[Key], object],
        *,
        finished: Callable[[], object] = lambda: None,
    ) -> None:
        """`wake` is called with a Release whose result has changed; `finished` after each measurement."""
        self.measuring = measuring
        self._runs = runs
        self.clock = clock
        self._wake = wake
        self._finished = finished
        self._queue: WorkQueue[Key] = WorkQueue()
        self._entries: dict[Key, _Entry] = {}

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def active(self) -> int:
        return self._queue.active

    def result(self, key: Key, subject: Subject | None) -> AnalysisResult:
        """What is known of the attempt that `subject` names, at once; None: nothing is analyzed now."""
        if subject is None:
            self._entries.pop(key, None)
            return _NOTHING
        self._runs.reopen(key)
        entry = self._entries.get(key)
        if entry is None or entry.subject.attempt != subject.attempt:
            entry = self._entries[key] = _Entry(subject)
            self._queue.add(key)
        elif _is_due(entry.subject, subject):
            self._queue.add(key)
        entry.subject = subject
        return self._as_of_now(entry)

    def _as_of_now(self, entry: _Entry) -> AnalysisResult:
        """A result of an older step or weight counts for the evidence, and not for what began since."""
        result, subject = entry.result, entry.subject
        run = self._runs.known(subject.key)
        if run is not None and run.name == result.run:
            status = subject.status
            slow = follows_slowly(run.looks, status.weight, status.weight_since or 0.0)
            units = units_since(run.looks, status.step_since)
            result = replace(result, step_units=units, following=slow or "")
        if entry.asking_since is None or not (subject.measures or result.pending):
            return result
        patience = patience_s(subject.analysis.interval)
        waited = asyncio.get_running_loop().time() - entry.asking_since
        if waited < patience:
            return replace(result, again_in=patience - waited)
        message = f"no answer for {waited:.0f} s"
        trouble = result.trouble or MetricTrouble(Reason.SOURCE_OUTAGE, message)
        return replace(result, trouble=trouble, pending=False)

    def forget(self, key: Key) -> None:
        """A Release that is gone."""
        self._entries.pop(key, None)
        self._queue.forget_failures(key)
        self.measuring.forget(key)

    async def run(self) -> None:
        """Until it is cancelled; then what is being measured is, too."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                key = await self._queue.get()
                tasks.create_task(self._one(key), name=f"analysis of {key}")

    def close(self) -> None:
        self._queue.close()

    async def _one(self, key: Key) -> None:
        entry = self._entries.get(key)
        try:
            if entry is not None:
                await self._measure(key, entry)
        finally:
            self._queue.finish(key)
            self._finished()

    async def _measure(self, key: Key, entry: _Entry) -> None:
        subject = entry.subject
        entry.asking_since = asyncio.get_running_loop().time()
        try:
            result, again_in = await self._measured(subject)
        except ConflictError as error:
            self._queue.add_failed(key)
            _LOG.info("the AnalysisRun of %s changed while it was written: %s", key, error)
            return
        except KubeError as error:
            delay = self._queue.add_failed(key, not_before=error.retry_after)
            _LOG.warning("analysis of %s failed, again in %.1f s: %s", key, delay, error)
            return
        except Exception as error:  # noqa: BLE001 - one Release's trouble must not end the analysis of the others
            delay = self._queue.add_failed(key)
            _LOG.exception("analysis of %s failed unexpectedly, again in %.1f s", key, delay)
            message = f"the analysis failed: {type(error).__name__}: {error}"
            trouble = MetricTrouble(Reason.METRIC_BROKEN, message)
            result, again_in = replace(entry.result, trouble=trouble, pending=False), None
        else:
            self._queue.forget_failures(key)
        finally:
            entry.asking_since = None
        self._publish(key, entry, subject, result)
        if again_in is not None and self._entries.get(key) is entry:
            self._queue.add_after(key, again_in)

    async def _measured(self, subject: Subject) -> Measured:
        now = self.clock()
        result, again_in = await self.measuring.measure(subject, now)
        disaster = await self.measuring.provisional(subject, self.clock())
        return replace(result, disaster=disaster), again_in

    def _publish(self, key: Key, entry: _Entry, subject: Subject, result: AnalysisResult) -> None:
        """Only to whom it concerns: the entry of another attempt has a result of its own."""
        if self._entries.get(key) is not entry or entry.subject.attempt != subject.attempt:
            return
        changed = entry.result != result
        entry.result = result
        if changed:
            self._wake(key)


def _is_due(before: Subject, now: Subject) -> bool:
    """Something that the next measurement goes by has changed."""
    return (
        before.measures != now.measures
        or before.analysis != now.analysis
        or before.status.weight_since != now.status.weight_since
        or before.status.scaled_up != now.status.scaled_up
    )
