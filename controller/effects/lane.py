"""One kind's effects: who waits, who runs, and when each is tried again."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from controller.api.effect import Effect
from controller.api.text import one_line
from controller.backoff import delay_s, not_before_s
from controller.effects.carrier import CarriedOut, Carrier, EffectFailedError, EffectRefusedError, Limits, Owner
from controller.kube.client import KubeError
from controller.rollout.effect import Answered, Refused, Result, Retrying

_LOG = logging.getLogger(__name__)
MOST_ANSWER_BYTES = 16 * 1024
_MOST_SENTENCE = 500
_NOT_NOW_S = 1.0

K = TypeVar("K", bound=Owner)


@dataclass(eq=False)
class Entry(Generic[K]):
    """One effect that is owed."""

    owner: K
    effect: Effect
    result: Result | None = None
    failures: int = 0
    timer: asyncio.TimerHandle | None = None
    task: asyncio.Task[None] | None = None
    dropped: bool = False
    """It is owed no longer: whatever comes of it now is nobody's."""


@dataclass(frozen=True)
class Hooks(Generic[K]):
    learned: Callable[[K], None]
    """Called when another result is known of one of its effects."""
    clock: Callable[[], float]
    """Seconds since the epoch."""
    may_act: Callable[[], bool]


class Lane(Generic[K]):
    """At most `limits.at_once` run, of one namespace at most `limits.per_namespace`; namespaces take turns.

    An entry waits for a place, or runs, or has a timer, or is done.
    """

    def __init__(self, carrier: Carrier, limits: Limits, hooks: Hooks[K]) -> None:
        self._carrier = carrier
        self._limits = limits
        self._hooks = hooks
        self._waiting: dict[str, deque[Entry[K]]] = {}
        self._running: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def active(self) -> int:
        return len(self._tasks)

    def add(self, entry: Entry[K]) -> None:
        entry.timer = None
        self._waiting.setdefault(entry.owner.namespace, deque()).append(entry)
        self._start()

    def drop(self, entry: Entry[K]) -> None:
        entry.dropped = True
        if entry.timer is not None:
            entry.timer.cancel()
        elif entry.task is not None:
            entry.task.cancel()
        else:
            self._withdraw(entry)

    async def close(self) -> None:
        """Once nothing is owed here any longer."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _withdraw(self, entry: Entry[K]) -> None:
        waiting = self._waiting.get(entry.owner.namespace)
        if waiting is not None and entry in waiting:
            waiting.remove(entry)
            if not waiting:
                del self._waiting[entry.owner.namespace]

    def _start(self) -> None:
        while self.active < self._limits.at_once and (namespace := self._next()) is not None:
            waiting = self._waiting.pop(namespace)
            self._run(waiting.popleft())
            if waiting:
                self._waiting[namespace] = waiting  # behind the others

    def _next(self) -> str | None:
        room = self._limits.per_namespace
        return next((name for name in self._waiting if self._running.get(name, 0) < room), None)

    def _run(self, entry: Entry[K]) -> None:
        namespace = entry.owner.namespace
        self._running[namespace] = self._running.get(namespace, 0) + 1
        entry.task = task = asyncio.get_running_loop().create_task(self._one(entry))
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._ended(entry, task))

    def _ended(self, entry: Entry[K], task: asyncio.Task[None]) -> None:
        namespace = entry.owner.namespace
        entry.task = None
        self._tasks.discard(task)
        self._running[namespace] -= 1
        if not self._running[namespace]:
            del self._running[namespace]
        self._start()

    async def _one(self, entry: Entry[K]) -> None:
        if not self._hooks.may_act():
            self._again(entry, _NOT_NOW_S)
            return
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                done = _bounded(await self._carrier.carry_out(entry.owner, entry.effect))
        except EffectRefusedError as error:
            self._learn(entry, Refused(one_line(str(error), _MOST_SENTENCE)))
        except EffectFailedError as error:
            self._failed(entry, str(error), error.retry_after)
        except KubeError as error:
            self._failed(entry, f"the API server cannot be reached: {error}", error.retry_after)
        except TimeoutError:
            self._failed(entry, f"it took longer than {self._limits.timeout_s:g} s")
        except Exception:  # a kind with a fault of its own: the others go on, and it is tried again
            _LOG.exception("effect %s of %s failed unexpectedly", entry.effect.id, entry.owner)
            self._failed(entry, "an unexpected error; the operator's log has the details")
        else:
            entry.failures = 0
            self._learn(entry, Answered(done.value))
            if done.again_in is not None:
                self._again(entry, done.again_in)

    def _failed(self, entry: Entry[K], message: str, retry_after: float = 0.0) -> None:
        limits = self._limits
        delay = delay_s(entry.failures, first_s=limits.first_retry_s, longest_s=limits.longest_retry_s)
        if retry_after > 0:
            delay = max(delay, not_before_s(retry_after))
        entry.failures += 1
        _LOG.info("effect %s of %s failed, again in %.1f s: %s", entry.effect.id, entry.owner, delay, message)
        self._learn(entry, Retrying(one_line(message, _MOST_SENTENCE), entry.failures, self._hooks.clock() + delay))
        self._again(entry, delay)

    def _learn(self, entry: Entry[K], result: Result) -> None:
        if not entry.dropped and entry.result != result:
            entry.result = result
            self._hooks.learned(entry.owner)

    def _again(self, entry: Entry[K], delay: float) -> None:
        if not entry.dropped:
            entry.timer = asyncio.get_running_loop().call_later(delay, self.add, entry)


def _bounded(done: CarriedOut) -> CarriedOut:
    """Raises EffectFailedError."""
    if len(json.dumps(done.value)) > MOST_ANSWER_BYTES:
        raise EffectFailedError(f"the answer is larger than {MOST_ANSWER_BYTES} bytes")
    return done
