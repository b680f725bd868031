"""How a version of a server misbehaves, for demonstrations and tests only: nothing of it happens unless asked for.

Pseudo-random, independent from request to request, seeded per pod.

Independent draws, not an even spread (every tenth request fails): an even spread
has less variance than any real service, and a test of the analysis against it
would look better than it is. The seed makes one pod's sequence repeatable.
"""

import math
import random
from dataclasses import dataclass

from workloads.common.environment import Environment

LONGEST_S = 60.0
"""No request is held longer, whatever the environment says."""


@dataclass(frozen=True, slots=True)
class Faults:
    """Shares are 0..1, times seconds. `extra_latency` is the median of what is added, `spread` its log-sigma."""

    error_rate: float = 0.0
    extra_latency: float = 0.0
    latency_share: float = 1.0
    spread: float = 0.3


def read(variables: Environment) -> Faults:
    """Raises SettingError."""
    return Faults(
        error_rate=variables.number("ERROR_RATE", 0, highest=1),
        extra_latency=variables.number("EXTRA_LATENCY", 0, highest=LONGEST_S),
        latency_share=variables.number("LATENCY_SHARE", 1, highest=1),
        spread=variables.number("LATENCY_SPREAD", 0.3, highest=3),
    )


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
