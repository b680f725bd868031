"""Whom each Release has alerted, and what nobody was notified of yet, for when it goes: its status goes with it, and an
alert has no other end.

A Release goes in several ways: its deletion is decided, or goes on without its router, or without a spec that can be
read; or nothing holds it up. Here all of them are one: it is there no longer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from controller.api.status import Status
from controller.effects.outbox import Outbox
from controller.kube.objects import Key
from controller.rollout.incidents import unsent
from controller.rollout.owing import at_the_end, undelivered


class OpenAlerts:
    """One event loop's. It keeps the statuses of those Releases that have alerts open, or something unsent."""

    def __init__(self, outbox: Outbox[Key], clock: Callable[[], float], lost: Callable[[Key, str], None]) -> None:
        """`clock`: seconds since the epoch. `lost` is called with a sentence about each notification that nobody got
        before its Release was gone, and that is not tried any longer.
        """
        self._outbox = outbox
        self._clock = clock
        self._lost = lost
        self._known: dict[Key, tuple[str, Status]] = {}

    def keep(self, key: Key, release: Mapping[str, Any], status: Status) -> None:
        """The API server has the Release with this status."""
        uid = release["metadata"]["uid"]
        if key in self._known and self._known[key][0] != uid:
            self.gone(key)  # it was made anew before anybody saw that it was gone
        if status.alerted or any(unsent(status.incidents)):
            self._known[key] = (uid, status)
        else:
            self._known.pop(key, None)

    def gone(self, key: Key) -> None:
        """The Release is there no longer. What it owes is tried for the outbox's LAST_TRIES_S."""
        if key in self._known:
            _, status = self._known.pop(key)
            left = at_the_end(status, self._clock())
            for sentence in (*unsent(status.incidents), *undelivered(status.owed, left, self._outbox.results(key))):
                self._lost(key, sentence)
            self._outbox.submit(key, left)
        self._outbox.forget(key)
