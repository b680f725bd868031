"""Which ReleaseActions may still have no answer: hints where a pass looks, and no more than that.

A pass reads a bounded number, aborts first: whoever may create actions in a namespace could otherwise delay a rollback
there by creating thousands.
"""

from __future__ import annotations

from collections.abc import Iterable

from controller.kube.objects import Key

MOST = 20
"""Read in one pass. Eight thousand once took 80 s."""


class PendingActions:
    def __init__(self) -> None:
        self._aborts: dict[Key, dict[str, bool]] = {}
        """By Release: the names, in the order in which they came, and whether each asks for an abort."""

    def add(self, key: Key, name: str, action: object) -> None:
        self._aborts.setdefault(key, {})[name] = action == "abort"

    def first(self, key: Key) -> frozenset[str]:
        """What the next pass reads."""
        names = self._aborts.get(key, {})
        return frozenset(sorted(names, key=lambda name: not names[name])[:MOST])

    def read(self, key: Key, names: frozenset[str], unanswered: Iterable[str]) -> bool:
        """A pass has read `names`; those that are not `unanswered` are dropped. Whether unread ones are left."""
        known, left = self._aborts.get(key, {}), names.intersection(unanswered)
        for name in names - left:
            known.pop(name, None)
        if not known:
            self.forget(key)
        return len(known) > len(left)

    def forget(self, key: Key) -> None:
        self._aborts.pop(key, None)
