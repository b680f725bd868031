"""How a version of a server misbehaves, for demonstrations and tests only: nothing of it happens unless asked for.

The two workloads also need ALLOW_FAULTS, which no manifest for production has: one variable too many in a manifest must
not make a service fail.

Pseudo-random, independent from request to request, seeded per pod.

Independent draws, not an even spread (every tenth request fails): an even spread
has less variance than any real service, and a test of the analysis against it
would look better than it is. The seed makes one pod's sequence repeatable.
"""

import math
import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from workloads.common.environment import Environment

LONGEST_S = 60.0
"""No request is held longer, whatever the environment says."""
HIGHEST_RATE = 100_000
_WINDOW_S = 1.0
_SWITCH = "ALLOW_FAULTS"


@dataclass(frozen=True, slots=True)
class Faults:
    """Shares are 0..1, times seconds. `extra_latency` is the median of what is added, `spread` its log-sigma.

    `errors_above`: requests that a process can do in any second; what comes beyond them fails. 0: no limit.

    For `cold_seconds` from its first request a process is cold: `cold_latency` is added to all requests at first, and
    to fewer and fewer. Caches and pools are filled by work, and not by waiting for it.
    """

    error_rate: float = 0.0
    errors_above: int = 0
    extra_latency: float = 0.0
    latency_share: float = 1.0
    spread: float = 0.3
    cold_seconds: float = 0.0
    cold_latency: float = 0.0


def read(variables: Environment) -> Faults:
    """Raises SettingError."""
    return Faults(
        error_rate=variables.number("ERROR_RATE", 0, highest=1),
        errors_above=variables.whole("ERRORS_ABOVE", 0, highest=HIGHEST_RATE),
        extra_latency=variables.number("EXTRA_LATENCY", 0, highest=LONGEST_S),
        latency_share=variables.number("LATENCY_SHARE", 1, highest=1),
        spread=variables.number("LATENCY_SPREAD", 0.3, highest=3),
        cold_seconds=variables.number("COLD_SECONDS", 0, highest=600),
        cold_latency=variables.number("COLD_LATENCY", 0, highest=LONGEST_S),
    )


def read_if_allowed(variables: Environment) -> Faults:
    """Raises SettingError, also for faults without ALLOW_FAULTS."""
    faults = read(variables)
    check_allowed(
        variables,
        {
            "ERROR_RATE": faults.error_rate,
            "ERRORS_ABOVE": faults.errors_above,
            "EXTRA_LATENCY": faults.extra_latency,
            "COLD_LATENCY": faults.cold_latency,
        },
    )
    return faults


def check_allowed(variables: Environment, faults: Mapping[str, float]) -> None:
    """`faults` by their variables. Raises SettingError for those that are not 0 where ALLOW_FAULTS is not true."""
    switch = variables.text(_SWITCH)
    if switch not in {"", "true"}:
        variables.refuse(f"{_SWITCH}: {switch!r} is not true: leave it out where the service must not fail on purpose")
    if switch == "true":
        return
    for name, value in faults.items():
        if value:
            variables.refuse(f"{name}: faults are for demonstrations and tests. There, set {_SWITCH}=true as well")


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one request: held for `delay` seconds, then failed or answered."""

    delay: float
    fails: bool


FINE = Fate(delay=0.0, fails=False)


class Overload:
    """A version that is too slow for everybody's load, and does well while few ask: it can do `most` in any second.

    What it fails costs it nothing, so a load of twice as much fails by half.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`most` 0: no limit. `clock` answers seconds."""
        self._most = most
        self._clock = clock
        self._done: deque[float] = deque()

    def fails(self) -> bool:
        """Whether one more, now, is beyond what it can do."""
        if not self._most:
            return False
        now = self._clock()
        while self._done and self._done[0] <= now - _WINDOW_S:
            self._done.popleft()
        if len(self._done) >= self._most:
            return True
        self._done.append(now)
        return False


class Fates:
    """The sequence of fates of one pod."""

    def __init__(self, faults: Faults, seed: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._faults = faults
        self._overload = Overload(faults.errors_above)
        self._clock = clock
        self._first: float | None = None
        """When the first request came."""
        self._random = random.Random(seed)  # noqa: S311 - not for secrets

    def next(self) -> Fate:
        faults = self._faults
        fails = faults.error_rate > 0 and self._random.random() < faults.error_rate
        fails = self._overload.fails() or fails
        slow = faults.extra_latency > 0 and self._random.random() < faults.latency_share
        cold = faults.cold_latency > 0 and self._random.random() < self._coldness()
        if not (fails or slow or cold):
            return FINE
        median = (faults.extra_latency if slow else 0.0) + (faults.cold_latency if cold else 0.0)
        return Fate(delay=self._delay(median) if median else 0.0, fails=fails)

    def _coldness(self) -> float:
        """1 with the first request, 0 when it is warm."""
        now = self._clock()
        self._first = now if self._first is None else self._first
        return max(0.0, 1 - (now - self._first) / self._faults.cold_seconds) if self._faults.cold_seconds else 0.0

    def _delay(self, median: float) -> float:
        """Log-normal around the median: most near it, a tail above, as latencies are."""
        return min(median * math.exp(self._random.gauss(0.0, self._faults.spread)), LONGEST_S)
