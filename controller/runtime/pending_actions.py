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
        self._urgent: dict[Key, dict[str, None]] = {}
        self._others: dict[Key, dict[str, None]] = {}

    def add(self, key: Key, name: str, action: object) -> None:
        (self._urgent if action == "abort" else self._others).setdefault(key, {})[name] = None

    def first(self, key: Key) -> frozenset[str]:
        """What the next pass reads."""
        return frozenset([*self._urgent.get(key, ()), *self._others.get(key, ())][:MOST])

    def read(self, key: Key, names: frozenset[str], unanswered: Iterable[str]) -> bool:
        """A pass has read `names`; those that are not `unanswered` are dropped. Whether unread ones are left."""
        left = names.intersection(unanswered)
        for kind in (self._urgent, self._others):
            of_release = kind.get(key, {})
            for name in names - left:
                of_release.pop(name, None)
            if not of_release:
                kind.pop(key, None)
        return len(self._urgent.get(key, ())) + len(self._others.get(key, ())) > len(left)

    def forget(self, key: Key) -> None:
        self._urgent.pop(key, None)
        self._others.pop(key, None)
