"""Stops calling a provider that fails, and tries it again with one call at a time.

Each call to a provider that hangs may leave an invitation whose outcome nobody knows. What is not called leaves none:
the message waits in the queue.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    failures: int
    """In a row, after which nothing is called."""
    rest: float
    """Seconds until the first trial; doubles with each trial that fails."""
    longest_rest: float


class Breaker:
    """`now` is a monotonic clock's. One for each process and provider."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._failures = 0
        self._rest = limits.rest
        self._closed_again: float | None = None
        """When a trial may be made; None: everything is let through."""
        self._era = 0

    def is_open(self, now: float) -> bool:
        return self._closed_again is not None and now < self._closed_again

    def admit(self, now: float) -> int | None:
        """A ticket for one call, to be given back with its outcome; None: not now.

        A trial that never tells (its process was stopped) is followed by another after the same rest.
        """
        if self._closed_again is None:
            return self._era
        if now < self._closed_again:
            return None
        self._closed_again = now + self._rest
        self._era += 1
        return self._era

    def note(self, ticket: int, *, well: bool, now: float) -> None:
        if well:
            self._failures, self._rest, self._closed_again = 0, self._limits.rest, None
            return
        if ticket != self._era:
            return  # begun before it opened: calls that failed together count as one failure of the provider
        self._failures += 1
        if self._closed_again is not None:
            self._rest = min(self._rest * 2, self._limits.longest_rest)
        elif self._failures < self._limits.failures:
            return
        self._closed_again = now + self._rest
        self._era += 1
