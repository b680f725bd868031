"""How a version misbehaves, for demonstrations and tests only: nothing of it happens unless the environment asks.

Draws are independent from attempt to attempt, as in workloads/subject.
"""

import asyncio
import math
import random
from dataclasses import dataclass

from workloads.common.environment import Environment
from workloads.common.faults import HIGHEST_RATE, Overload, check_allowed

_LONGEST_S = 600.0
_SPREAD = 0.3


class InjectedError(Exception):
    """A failure that ERROR_RATE or ERRORS_ABOVE asked for."""


@dataclass(frozen=True, slots=True)
class Faults:
    """`error_rate` is a share of attempts; `extra_latency` the median, in seconds, of what is added to each.

    `errors_above`: attempts that a process can do in any second; what comes beyond them fails. 0: no limit.
    """

    error_rate: float = 0.0
    errors_above: int = 0
    extra_latency: float = 0.0


def read(variables: Environment) -> Faults:
    """Raises SettingError, also for faults without ALLOW_FAULTS."""
    faults = Faults(
        error_rate=variables.number("ERROR_RATE", 0, highest=1),
        errors_above=variables.whole("ERRORS_ABOVE", 0, highest=HIGHEST_RATE),
        extra_latency=variables.number("EXTRA_LATENCY", 0, highest=_LONGEST_S),
    )
    check_allowed(
        variables,
        {
            "ERROR_RATE": faults.error_rate,
            "ERRORS_ABOVE": faults.errors_above,
            "EXTRA_LATENCY": faults.extra_latency,
        },
    )
    return faults


class Misfortune:
    def __init__(self, faults: Faults, seed: str) -> None:
        self._faults = faults
        self._overload = Overload(faults.errors_above)
        self._random = random.Random(seed)  # noqa: S311 - repeatable is the point

    async def strike(self) -> None:
        """Waits and fails as the version is said to. Raises InjectedError."""
        faults = self._faults
        if faults.extra_latency:
            await asyncio.sleep(min(faults.extra_latency * math.exp(self._random.gauss(0, _SPREAD)), _LONGEST_S))
        if faults.error_rate and self._random.random() < faults.error_rate:
            raise InjectedError(f"ERROR_RATE is {faults.error_rate:g}")
        if self._overload.fails():
            raise InjectedError(f"ERRORS_ABOVE is {faults.errors_above}: more attempts than that in a second")
