"""How far this machine's clock is from AWS's, as far as the Date of AWS's answers shows.

Leases are compared by the clocks of the workers. Two that are further apart than the skew that is allowed for can hold
one job at once, and nothing else would show it. A Date has whole seconds, so each answer gives only bounds; those of
the last minute together are narrow.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

_WINDOW_S = 60.0
_MOST = 64


class ServerClock:
    """Used by many threads. `now` is seconds since 1970."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._bounds: deque[tuple[float, float, float]] = deque(maxlen=_MOST)
        self._lock = threading.Lock()
        self._sent = threading.local()

    def watch(self, client: Any) -> None:
        """Reads each answer of a boto3 client."""
        client.meta.events.register("before-send", self._before)
        client.meta.events.register("response-received", self._after)

    def note(self, date: float, *, sent: float, received: float) -> None:
        """An answer of `date` (whole seconds) to a request between two times by the local clock."""
        with self._lock:
            self._bounds.append((received, sent - date - 1, received - date))

    @property
    def ahead_s(self) -> float:
        """Seconds by which the local clock is certainly ahead; negative: behind; 0: nothing is certain."""
        with self._lock:
            if not self._bounds:
                return 0.0
            newest = self._bounds[-1]
            near = [each for each in self._bounds if abs(newest[0] - each[0]) <= _WINDOW_S]
        low, high = max(low for _, low, _ in near), min(high for _, _, high in near)
        if low > high:  # one of the clocks was set meanwhile
            _, low, high = newest
        return low if low > 0 else min(high, 0.0)

    def _before(self, **_: Any) -> None:
        self._sent.at = self._now()

    def _after(self, *, response_dict: Mapping[str, Any] | None = None, **_: Any) -> None:
        sent = getattr(self._sent, "at", None)
        if response_dict is None or sent is None:
            return
        try:
            date = parsedate_to_datetime(response_dict["headers"]["date"]).timestamp()
        except (KeyError, ValueError, TypeError):
            return  # not every stand-in for AWS says the time
        self.note(date, sent=sent, received=self._now())
