"""How a version misbehaves: pseudo-random, independent from request to request, seeded per pod.

Independent draws, not an even spread (every tenth request fails): an even spread
has less variance than any real service, and a test of the analysis against it
would look better than it is. The seed makes one pod's sequence repeatable.
"""

import math
import random
from dataclasses import dataclass

from workloads.subject.settings import LONGEST_S, Faults


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one request: held for `delay` seconds, then failed or answered."""

    delay: float
    fails: bool


FINE = Fate(delay=0.0, fails=False)


class Fates:
    """The sequence of fates of one pod."""

    def __init__(self, faults: Faults, seed: str) -> None:
        self._faults = faults
        self._random = random.Random(seed)  # noqa: S311 - not for secrets

    def next(self) -> Fate:
        faults = self._faults
        fails = faults.error_rate > 0 and self._random.random() < faults.error_rate
        slow = faults.extra_latency > 0 and self._random.random() < faults.latency_share
        if not (fails or slow):
            return FINE
        return Fate(delay=self._delay() if slow else 0.0, fails=fails)

    def _delay(self) -> float:
        """Log-normal around the median: most near it, a tail above, as latencies are."""
        return min(self._faults.extra_latency * math.exp(self._random.gauss(0.0, self._faults.spread)), LONGEST_S)
