"""Whether a version that drains still gets work: its pods stay until the metrics have seen none for `drain.quiet`.

A pass says which version drains and reads what is known; it never waits. Clients that hold a connection to Service
NAME stay on the old pods after the switch, and no route shows them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from controller.analysis import unawaited
from controller.analysis.measuring import Measuring
from controller.analysis.subject import Drain
from controller.kube.client import KubeError
from controller.kube.objects import Key

_LOG = logging.getLogger(__name__)


@dataclass
class _Watch:
    drain: Drain
    quiet: bool = False
    """False also while the source does not say."""
    task: asyncio.Task[None] | None = None


class DrainWatches:
    """One task for each Release with a version that drains, as long as it does."""

    def __init__(self, measuring: Measuring, clock: Callable[[], float], wake: Callable[[Key], object]) -> None:
        self._measuring = measuring
        self._clock = clock
        self._wake = wake
        self._watches: dict[Key, _Watch] = {}

    def is_quiet(self, key: Key, drain: Drain | None) -> bool | None:
        """At once, as far as it is known; None where nothing drains, or no metric counts its work."""
        if drain is None or not drain.old or not drain.analysis.judging:
            self.forget(key)
            return None
        watch = self._watches.get(key)
        if watch is None or watch.drain != drain:
            self.forget(key)
            watch = self._watches[key] = _Watch(drain)
            lost = f"the drain of {key} is not watched and lasts until drain.max"
            watch.task = unawaited.start(self._run(key, watch), lost=lost)
        return watch.quiet

    def forget(self, key: Key) -> None:
        watch = self._watches.pop(key, None)
        if watch is not None and watch.task is not None:
            watch.task.cancel()

    def close(self) -> None:
        for key in list(self._watches):
            self.forget(key)

    async def _run(self, key: Key, watch: _Watch) -> None:
        drain = watch.drain
        again_in = max(0.0, drain.since + drain.quiet - self._clock())
        while not watch.quiet:
            await asyncio.sleep(again_in)
            watch.quiet, again_in = await self._has_been_quiet(key, drain), drain.analysis.interval
        self._wake(key)

    async def _has_been_quiet(self, key: Key, drain: Drain) -> bool:
        try:
            return await self._measuring.was_quiet(drain, self._clock())
        except KubeError as error:
            _LOG.info("whether the old version of %s still gets work could not be measured: %s", key, error)
            return False
