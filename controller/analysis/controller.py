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
from functools import partial
from math import inf

from controller.analysis.draining import DrainWatches
from controller.analysis.measuring import Measured, Measuring
from controller.analysis.runs import RunStore
from controller.analysis.schedule import FAST_S, patience_s
from controller.analysis.subject import AnalysisResult, Subject
from controller.analysis.verdict import router_lag
from controller.api.reasons import Reason
from controller.api.status import Status
from controller.kube.client import ConflictError, KubeError
from controller.kube.objects import Key
from controller.rollout.observation import MetricTrouble
from controller.stats.evidence import units_since
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
    """Since when there was no answer, by the loop's clock; None while nothing is asked."""
    problem: str = ""
    """What the API server said when the record could not be written."""
    weight_known_until: float = inf
    """Seconds since the epoch. A pass under way, or one that failed, may have changed the weight since."""
    task: asyncio.Task[None] | None = None


class AnalysisController:
    def __init__(
        self,
        measuring: Measuring,
        runs: RunStore,
        clock: Callable[[], float],
        wake: Callable[[Key], object],
    ) -> None:
        """`wake` is called with a Release whose result has changed, or is late."""
        self.measuring = measuring
        self._runs = runs
        self.clock = clock
        self._wake = wake
        self._queue: WorkQueue[Key] = WorkQueue()
        self._entries: dict[Key, _Entry] = {}
        self.drains = DrainWatches(measuring, clock, wake)

    @property
    def releases(self) -> int:
        """How many are under analysis."""
        return len(self._entries)

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def active(self) -> int:
        return self._queue.active

    @property
    def untaken_since(self) -> float | None:
        return self._queue.untaken_since

    def result(self, key: Key, subject: Subject | None, now: float) -> AnalysisResult:
        """What is known of the attempt that `subject` names, at once; None: nothing is analyzed now.

        `now`: the pass's, in seconds since the epoch. No window ends later until `pass_done` says which weight is in
        force since.
        """
        if subject is None:
            self._drop(key)
            return _NOTHING
        self._runs.reopen(key)
        entry = self._entries.get(key)
        if entry is None or entry.subject.attempt != subject.attempt:
            self._drop(key)
            entry = self._entries[key] = _Entry(subject)
            self._queue.add(key)
        elif _is_due(entry.subject, subject):
            self._queue.add(key)
        entry.subject = subject if entry.subject is subject else subject.after(entry.subject)
        entry.weight_known_until = now
        return self._as_of_now(entry)

    def pass_done(self, key: Key, status: Status) -> None:
        """A pass has written `status`. Where it changed the weight, the next pass says what is measured since."""
        entry = self._entries.get(key)
        if entry is not None and entry.subject.status.weight_since == status.weight_since:
            entry.weight_known_until = inf

    def _as_of_now(self, entry: _Entry) -> AnalysisResult:
        """A result of an older step or weight counts for the evidence, and not for what began since."""
        result, subject = entry.result, entry.subject
        run = self._runs.known(subject.key)
        if run is not None and run.name == result.run:
            units = units_since(run.looks, subject.status.step_since, run.plan.judging)
            result = replace(result, step_units=units, share_lag=router_lag(subject, run))
        if entry.asking_since is None or not (subject.measures or result.pending):
            return result
        patience = patience_s(subject.analysis.interval)
        waited = asyncio.get_running_loop().time() - entry.asking_since
        if waited < patience:
            return replace(result, again_in=patience - waited)
        message = entry.problem or f"the metrics were queried and did not answer within {patience:g} s"
        trouble = result.trouble or MetricTrouble(Reason.SOURCE_OUTAGE, message)
        return replace(result, trouble=trouble, pending=False)

    def forget(self, key: Key) -> None:
        """A Release that is gone."""
        self._drop(key)
        self.drains.forget(key)
        self._queue.forget_failures(key)
        self.measuring.forget(key)

    def _drop(self, key: Key) -> None:
        """What is still being asked for it would only take places of its source."""
        entry = self._entries.pop(key, None)
        if entry is not None and entry.task is not None:
            entry.task.cancel()

    async def run(self) -> None:
        """Until it is cancelled; then what is being measured is, too."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                key = await self._queue.get()
                entry = self._entries.get(key)
                if entry is None:
                    self._queue.finish(key)
                    continue
                entry.task = tasks.create_task(self._measure(key, entry), name=f"analysis of {key}")
                entry.task.add_done_callback(partial(self._ended, key))

    def close(self) -> None:
        self._queue.close()
        self.drains.close()

    def _ended(self, key: Key, _: asyncio.Task[None]) -> None:
        """Also of a task that was cancelled before it began."""
        self._queue.finish(key)

    async def _measure(self, key: Key, entry: _Entry) -> None:
        subject, loop = entry.subject, asyncio.get_running_loop()
        if entry.asking_since is None:
            entry.asking_since = loop.time()
        late = loop.call_later(patience_s(subject.analysis.interval), self._wake, key)
        try:
            result, again_in = await self._measured(subject, entry.weight_known_until)
        except ConflictError as error:
            entry.problem = f"the AnalysisRun cannot be written: {error}"
            self._queue.add_failed(key)
            _LOG.info("the AnalysisRun of %s changed while it was written: %s", key, error)
            return
        except KubeError as error:
            entry.problem = f"the AnalysisRun cannot be read or written: {error}"
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
            late.cancel()
        entry.asking_since, entry.problem = None, ""
        self._publish(key, entry, subject, result)
        if again_in is not None and self._entries.get(key) is entry:
            self._queue.add_after(key, again_in)

    async def _measured(self, subject: Subject, weight_known_until: float) -> Measured:
        now = self.clock()
        result, again_in = await self.measuring.measure(subject, now, weight_known_until=weight_known_until)
        disaster = await self.measuring.provisional(subject, self.clock())
        if again_in is not None and result.trouble is None:
            # what is due at one moment for many Releases begins at one moment, however long each took the last time
            again_in = max(min(again_in, FAST_S / 4), again_in - (self.clock() - now))
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
        or (before.status.copied, before.status.chosen) != (now.status.copied, now.status.chosen)
        or before.status.scaled_up != now.status.scaled_up
    )
