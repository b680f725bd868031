"""The old version's last looks before a switch: what the new one is compared with once it has all of the work.

They are asked for while the new version waits for its switch, so that the first look after it has not to wait for
twenty of before. What is missing then, as after a restart, is asked for at once.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from controller.analysis.asking import ask_in_halves
from controller.analysis.sources import Question
from controller.api.status import Status
from controller.api.times import as_datetime
from controller.kube.objects import Key
from controller.ports import Window
from controller.stats.before import LOOKS
from controller.stats.counts import Counts

_AT_ONCE = 4
"""Windows; each asks for every metric."""


@dataclass
class _Kept:
    subject: object
    windows: dict[int, Mapping[str, Counts]] = field(default_factory=dict)
    """By number: window k is [k, k + 1) intervals since the epoch."""


class BeforeSwitch:
    """Of each Release that is about to switch. One measures a Release at a time."""

    def __init__(self) -> None:
        self._kept: dict[Key, _Kept] = {}

    async def learn(
        self,
        key: Key,
        subject: object,
        questions: Sequence[Question],
        status: Status,
        *,
        canary: str,
        interval: float,
        until: float,
    ) -> None:
        """The last looks that end before `until`, in seconds since the epoch. Raises MetricTroubleError."""
        kept = self._kept.get(key)
        if kept is None or kept.subject != subject:
            kept = self._kept[key] = _Kept(subject)
        last = math.floor(until / interval)
        wanted = range(last - LOOKS, last)
        kept.windows = {number: rows for number, rows in kept.windows.items() if number in wanted}
        remaining = list(questions)
        missing = [number for number in wanted if number not in kept.windows]
        for first in range(0, len(missing), _AT_ONCE):
            numbers = missing[first : first + _AT_ONCE]
            found = await asyncio.gather(
                *(
                    ask_in_halves(
                        remaining,
                        Window(as_datetime(number * interval), as_datetime((number + 1) * interval)),
                        stable=status.stable,
                        canary=canary,
                    )
                    for number in numbers
                )
            )
            kept.windows |= dict(zip(numbers, (answers.rows for answers in found), strict=True))
            failed = {name for answers in found for name in answers.failed}
            remaining = [question for question in remaining if question.name not in failed]

    def looks(self, key: Key, subject: object) -> dict[str, list[tuple[int, int]]]:
        """Bad and all units of the old version, by metric or threshold, in the order of time."""
        kept = self._kept.get(key)
        if kept is None or kept.subject != subject:
            return {}
        found: dict[str, list[tuple[int, int]]] = {}
        for _, rows in sorted(kept.windows.items()):
            for name, counts in rows.items():
                found.setdefault(name, []).append((counts.stable_bad, counts.stable_total))
        return found

    def forget(self, key: Key) -> None:
        self._kept.pop(key, None)
