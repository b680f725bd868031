"""Learns from stable's work, while the canary's pods start: how late a source's counts are (`settle: auto`), and how
many there usually are, so that a source that falls silent with the first look is noticed.

Some moments' recent past is asked for in slices, and asked for once more a little later. A slice that has not grown
was whole when it was as old as it was then. Nothing waits for the measurement: where pods are faster, or stable has too
little work to tell, a safe value is taken.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from controller.analysis import unawaited
from controller.kube.objects import Key
from controller.stats.counts import NOTHING, Counts
from controller.stats.method import SETTLE_S

LEAST_S, MOST_S = 0.5, 15.0
_AGES = (0.0, 0.5, 1.0, 2.0, 5.0, 15.0)
_ROUNDS: tuple[tuple[float, ...], ...] = ((0.0, 0.85, 1.55), *[(0.0,)] * 5)
"""Moments of each round in seconds, uneven, so that they meet a source that writes once a second at different times.
The later rounds are for those that write every ten seconds.
"""
_LATER_S = 2.5
_WHOLE = 0.99
"""The share of a slice that has to be there: the 99th percentile of the delay."""
_LEAST_UNITS = 30
_AT_ONCE = 4
"""Lessons: each asks some two hundred questions. With fifty at once a source had no time left for looks."""
BASELINE_S = 30.0

Ask = Callable[[float, float], Awaitable[Mapping[str, Counts]]]
"""Counts by metric between two moments, seconds since the epoch; empty where the source does not say."""
Slices = Mapping[str, list[int]]
"""Units of each slice by metric, the youngest first."""


async def learn(
    ask: Ask, clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
) -> AsyncIterator[float]:
    """Seconds after which at least 99 % of the units are counted, within bounds, as far as it is known after four
    seconds, and then after every other two or three, until sixteen have passed.
    """
    ages: list[float] = []
    for moments in _ROUNDS:
        first: list[tuple[float, Slices]] = []
        for before, after in itertools.pairwise((0.0, *moments)):
            await sleep(after - before)
            moment = clock()
            first.append((moment, await _slices(ask, moment)))
        await sleep(_LATER_S)
        found = [settled(seen, await _slices(ask, moment)) for moment, seen in first]
        ages += [age for age in found if age is not None]
        yield min(MOST_S, max(LEAST_S, 1.5 * max(ages))) if ages else SETTLE_S


async def _slices(ask: Ask, moment: float) -> Slices:
    parts = await asyncio.gather(*(ask(moment - old, moment - young) for young, old in itertools.pairwise(_AGES)))
    names = {name for part in parts for name in part}
    return {name: [part.get(name, NOTHING).units for part in parts] for name in names}


def settled(seen: Slices, later: Slices) -> float | None:
    """The age from which every slice of every metric was whole; None where no metric has enough work to tell."""
    ages = [_age(seen.get(name, []), units) for name, units in later.items() if sum(units) >= _LEAST_UNITS]
    return max(ages, default=None)


def _age(seen: Sequence[int], later: Sequence[int]) -> float:
    age = _AGES[-1]
    for index in reversed(range(len(later))):
        if (seen[index] if seen else 0) < _WHOLE * later[index]:
            break
        age = _AGES[index]
    return age


async def baseline_rates(ask: Ask, until: float) -> dict[str, float]:
    """Units of both versions per second by metric, just before `until`; nothing where the source does not say."""
    rows = await ask(until - BASELINE_S, until)
    return {name: counts.units / BASELINE_S for name, counts in rows.items()}


@dataclass
class _Measurement:
    subject: object
    learnt: float = SETTLE_S
    baseline_rates: Mapping[str, float] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None


class IngestionDelay:
    """One measurement for each attempt, beside everything else; who has to wait for a place may go without."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._measurements: dict[Key, _Measurement] = {}
        self._places: WeakKeyDictionary[object, asyncio.Semaphore] = WeakKeyDictionary()
        """By source: one that hangs keeps no other from being measured."""

    def begin(self, key: Key, subject: object, ask: Ask, *, settle: bool, source: object = None) -> None:
        """`settle`: its delay is to be learnt as well. `source`: those of one source are measured by turns."""
        known = self._measurements.get(key)
        if known is None or known.subject != subject:
            self.forget(key)
            measurement = self._measurements[key] = _Measurement(subject)
            places = self._places.setdefault(self if source is None else source, asyncio.Semaphore(_AT_ONCE))
            lost = f"the ingestion delay of {key} is unknown; the default is used"
            measurement.task = unawaited.start(self._measure(measurement, ask, places, settle=settle), lost=lost)

    async def _measure(self, measurement: _Measurement, ask: Ask, places: asyncio.Semaphore, *, settle: bool) -> None:
        async with places:
            measurement.baseline_rates = await baseline_rates(ask, self._clock())
            if not settle:
                return
            async for learnt in learn(ask, self._clock, asyncio.sleep):
                measurement.learnt = learnt

    def baseline_rates(self, key: Key, subject: object) -> Mapping[str, float]:
        """Units per second by metric, from before the canary had any; nothing where it is not known."""
        measurement = self._measurements.get(key)
        return measurement.baseline_rates if measurement is not None and measurement.subject == subject else {}

    def learnt(self, key: Key, subject: object) -> float:
        """As far as it is known now."""
        measurement = self._measurements.get(key)
        return measurement.learnt if measurement is not None and measurement.subject == subject else SETTLE_S

    def forget(self, key: Key) -> None:
        measurement = self._measurements.pop(key, None)
        if measurement is not None and measurement.task is not None:
            measurement.task.cancel()
