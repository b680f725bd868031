"""Carries out what Releases owe to the outside, beside the passes and never within one.

A Release that is deleted waits for none of it. What must be delivered is tried for another minute, by this process
alone, and then given up.

A pass hands over all that its Release owes, after the write that owes it, and reads what is known without waiting.
Each change of a result wakes the Release. Nothing here has to outlive the process: what is owed stands in the status,
and the first pass of the next leader hands it over again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from controller import registry
from controller.api.effect import MOST_OWED, MOST_PAYLOAD_BYTES, Effect, Owed
from controller.effects.carrier import Carrier, EffectContext, Limits, Owner
from controller.effects.lane import Entry, Hooks, Lane
from controller.rollout.effect import Refused, Result, Retrying, is_settled


class _Key(Owner, Hashable, Protocol):
    """An owner that can be looked up."""


K = TypeVar("K", bound=_Key)

LAST_TRIES_S = 60.0
"""For how long a notification of a Release that is gone is still tried."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kind:
    carrier: Carrier
    limits: Limits


def kinds(context: EffectContext) -> dict[str, Kind]:
    """One of each module."""
    return {kind: Kind(module.create(context), module.LIMITS) for kind, module in registry.modules("effects").items()}


class Outbox(Generic[K]):
    """One event loop's. It works from what is handed over until `close`."""

    def __init__(
        self,
        kinds: Mapping[str, Kind],
        wake: Callable[[K], None],
        *,
        clock: Callable[[], float] = time.time,
        lost: Callable[[K, str], None] = lambda *_: None,
    ) -> None:
        """`lost` is called with a sentence about a notification that was given up because its Release is gone."""
        hooks = Hooks(wake, clock, may_act=lambda: self.may_act())  # noqa: PLW0108 - it is set later
        self._lanes = {name: Lane(kind.carrier, kind.limits, hooks) for name, kind in kinds.items()}
        self._wake = wake
        self._entries: dict[K, dict[str, Entry[K]]] = {}
        self._last_tries: dict[Entry[K], asyncio.TimerHandle] = {}
        self._lost = lost
        self.may_act: Callable[[], bool] = lambda: True
        """Asked before each call: a leader that was frozen calls nobody before it knows that it still leads."""

    def __len__(self) -> int:
        return sum(map(len, self._entries.values()))

    @property
    def active(self) -> int:
        return sum(lane.active for lane in self._lanes.values())

    def submit(self, owner: K, owed: Sequence[Owed]) -> None:
        """All that `owner` owes now; idempotent. What is owed no longer is cancelled and forgotten."""
        effects = {item.effect.id: item.effect for item in owed[:MOST_OWED]}
        entries = self._entries.pop(owner, {})
        for name, entry in list(entries.items()):
            if effects.get(name) != entry.effect:
                self._drop(entries.pop(name))
        for name, effect in effects.items():
            if name not in entries:
                entries[name] = self._accept(owner, effect)
        if entries:
            self._entries[owner] = entries

    def results(self, owner: K) -> Mapping[str, Result]:
        """What is known of each effect, by its id. One of which nothing is known yet is absent."""
        entries = self._entries.get(owner, {})
        return {name: entry.result for name, entry in entries.items() if entry.result is not None}

    def forget(self, owner: K) -> None:
        """The object is gone, and what it still owed with it; what must be delivered is tried for LAST_TRIES_S."""
        loop = asyncio.get_running_loop()
        for entry in self._entries.pop(owner, {}).values():
            if entry.effect.must_deliver and not is_settled(entry.result):
                self._last_tries[entry] = loop.call_later(LAST_TRIES_S, self._give_up, entry)
            else:
                self._drop(entry)

    async def run(self) -> None:
        """Holds what runs, so that it ends with whoever runs this: no call goes on when the Lease is another's."""
        try:
            await asyncio.Event().wait()
        finally:
            await self.close()

    async def close(self) -> None:
        """Ends what runs. The next leader gets the same effects from the statuses."""
        for owner in list(self._entries):
            self.submit(owner, ())
        while self._last_tries:
            entry, timer = self._last_tries.popitem()
            timer.cancel()
            self._drop(entry)
        await asyncio.gather(*(lane.close() for lane in self._lanes.values()))

    def _accept(self, owner: K, effect: Effect) -> Entry[K]:
        entry, lane = Entry(owner, effect), self._lanes.get(effect.kind)
        if lane is None:
            problem = f"this operator does not know effect {effect.kind!r}; install a version that does"
            entry.result = Refused(problem)
        elif not effect.fits:
            entry.result = Refused(f"the payload of {effect.id} is larger than {MOST_PAYLOAD_BYTES} bytes")
        else:
            lane.add(entry)
            return entry
        # after the pass that hands it over: it has read its results already
        asyncio.get_running_loop().call_soon(self._wake, owner)
        return entry

    def _give_up(self, entry: Entry[K]) -> None:
        del self._last_tries[entry]
        if is_settled(entry.result):
            return
        self._drop(entry)
        why = entry.result.message if isinstance(entry.result, Retrying) else "no answer"
        message = f"{entry.effect.id}: not delivered within {LAST_TRIES_S:.0f} s after the Release was deleted: {why}"
        _LOG.warning("%s: %s", entry.owner, message)
        self._lost(entry.owner, message)

    def _drop(self, entry: Entry[K]) -> None:
        lane = self._lanes.get(entry.effect.kind)
        if lane is not None:
            lane.drop(entry)
