"""What time it is: a clock that never jumps, close to the API server's.

Moments of an attempt stand in the status, and are read by whichever process leads next. A machine whose clock is wrong,
or is put right, would end a step, or a canary, by a deadline that nobody has waited for; one that goes back would make
no look until it has caught up. So seconds are counted by the monotonic clock, from what this machine says at the start,
or from what the API server says where the two differ.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

_LOG = logging.getLogger(__name__)
_TOLERATED_S = 2.0
"""Between this machine and the API server. Its answers are dated in whole seconds."""
_FOLLOWS = 0.1
"""Of the seconds that pass: a clock that turns out to be wrong goes so much faster, or slower, until it is right."""
_HEARD_AGAIN_S = 10.0


class SteadyClock:
    """Seconds since the epoch."""

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._at = monotonic()
        self._now = wall()
        self._behind = 0.0
        """Seconds that are still to be caught up, with their sign."""
        self._heard_at: float | None = None

    def now(self) -> float:
        at = self._monotonic()
        passed = at - self._at
        most = passed * _FOLLOWS
        caught_up = max(-most, min(self._behind, most))
        self._at, self._now, self._behind = at, self._now + passed + caught_up, self._behind - caught_up
        return self._now

    @property
    def behind_s(self) -> float:
        """Seconds behind the API server; negative where it is ahead of it."""
        return self._behind

    def hear(self, date: str, sent_at: float) -> None:
        """`date`: of an answer to a request that was sent at `sent_at` by the monotonic clock, as HTTP writes it."""
        if self._heard_at is not None and sent_at - self._heard_at < _HEARD_AGAIN_S:
            return
        try:
            said = parsedate_to_datetime(date).timestamp()
        except ValueError:
            return
        now = self.now()
        first, self._heard_at = self._heard_at is None, sent_at
        # it was said between the request and now, and may have been any moment of its second
        earliest, latest = said, said + 1 + (self._at - sent_at)
        aim = now + self._behind
        if earliest - _TOLERATED_S <= aim <= latest + _TOLERATED_S:
            return
        behind = (earliest + latest) / 2 - now
        if first:
            self._now += behind
            self._say("the API server's time is used", behind)
        else:
            self._behind = behind
            self._say("it is followed slowly, at once after a restart", behind)

    @staticmethod
    def _say(what: str, behind: float) -> None:
        side = "behind" if behind > 0 else "ahead of"
        _LOG.warning("the clock here is %.0f s %s the API server's; %s", abs(behind), side, what)

    def monotonic(self) -> float:
        return self._monotonic()
