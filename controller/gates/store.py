"""Which alerts fire, in memory: senders write here, passes read here, and neither waits for the other.

A request may come twice, late, or again on purpose: what counts is when its alert began and ended, never when it came.
A sender that is gone ends no alert, so one that nobody has repeated for hours is over.

After a restart memory is empty, and senders repeat an alert only after hours. What a Release's gates match stands in
its status, and is taken from there by the first pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from controller.api.alerts import MOST_KEPT, AlertGate, FiringAlert
from controller.gates.formats import Alert
from controller.kube.objects import Key

MOST_OF_NAMESPACE = 1_000
MOST_NAMESPACES = 1_000
STANDS_S = 5 * 3600.0
"""Grafana and Alertmanager repeat what still fires after four hours, unless they are told otherwise."""
_ENDED_STANDS_S = 3600.0
"""So long an alert that ended is remembered, for requests that come late or again."""
_TOGETHER_S = 0.3
_SWEEP_S = 30.0

Gates = tuple[AlertGate, ...]


@dataclass(frozen=True)
class _Known:
    alert: Alert
    heard: float


@dataclass
class _Namespace:
    alerts: dict[str, _Known] = field(default_factory=dict)
    releases: dict[Key, Gates] = field(default_factory=dict)
    """Those with gates, as their last pass has seen them."""


class AlertStore:
    """`wake`: called for Releases of which something may have changed, at most a few times a second for each."""

    def __init__(self, wake: Callable[[Key], None], clock: Callable[[], float]) -> None:
        self._wake = wake
        self._clock = clock
        self._namespaces: dict[str, _Namespace] = {}
        self._seeded: set[Key] = set()
        self._changed: set[Key] = set()
        self._awake = asyncio.Event()

    def __len__(self) -> int:
        """Alerts that fire."""
        return sum(known.alert.ended is None for one in self._namespaces.values() for known in one.alerts.values())

    def take(self, namespace: str, alerts: Iterable[Alert]) -> int:
        """How many there was no room for."""
        of_namespace = self._namespace(namespace)
        if of_namespace is None:
            return sum(1 for _ in alerts)
        refused, now, changed = 0, self._clock(), list[Alert]()
        for alert in alerts:
            before = of_namespace.alerts.get(alert.id)
            if before is None and not self._has_room(of_namespace):
                refused += 1
                continue
            after = alert if before is None else _later(before.alert, alert)
            of_namespace.alerts.pop(alert.id, None)  # the last one heard of is the last one
            of_namespace.alerts[alert.id] = _Known(after, now)
            if before is None or before.alert != after:
                changed += [after] if before is None else [after, before.alert]
        self._notice(of_namespace, changed)
        return refused

    def firing(self, key: Key, gates: Gates, known: tuple[FiringAlert, ...]) -> tuple[FiringAlert, ...]:
        """Those that a gate matches, the oldest first. `known`: what the status says of them."""
        if not gates:
            self.forget(key)
            return ()
        of_namespace = self._namespace(key.namespace)
        if of_namespace is None:
            return ()
        if key not in self._seeded:
            self._seed(of_namespace, known)
            self._seeded.add(key)
        of_namespace.releases[key] = gates
        earliest = self._clock() - STANDS_S
        found = [
            FiringAlert(one.alert.id, one.alert.name, one.alert.since, one.alert.labels)
            for one in of_namespace.alerts.values()
            if one.alert.ended is None and one.heard > earliest and _matches(gates, one.alert)
        ]
        return tuple(sorted(found, key=lambda alert: (alert.since, alert.id)))

    def forget(self, key: Key) -> None:
        self._seeded.discard(key)
        of_namespace = self._namespaces.get(key.namespace)
        if of_namespace is not None:
            of_namespace.releases.pop(key, None)

    async def run(self) -> None:
        """Wakes Releases, and forgets what is over."""
        while True:
            try:
                async with asyncio.timeout(_SWEEP_S):
                    await self._awake.wait()
                await asyncio.sleep(_TOGETHER_S)
            except TimeoutError:
                self._sweep()
            self._awake.clear()
            changed, self._changed = self._changed, set()
            for key in changed:
                self._wake(key)

    def _namespace(self, name: str) -> _Namespace | None:
        """None: there are too many."""
        found = self._namespaces.get(name)
        if found is None and len(self._namespaces) < MOST_NAMESPACES:
            found = self._namespaces[name] = _Namespace()
        return found

    @staticmethod
    def _has_room(of_namespace: _Namespace) -> bool:
        if len(of_namespace.alerts) < MOST_OF_NAMESPACE:
            return True
        ended = next((one.alert.id for one in of_namespace.alerts.values() if one.alert.ended is not None), None)
        if ended is not None:
            del of_namespace.alerts[ended]
        return ended is not None

    def _seed(self, of_namespace: _Namespace, known: tuple[FiringAlert, ...]) -> None:
        for one in known[: 2 * MOST_KEPT]:
            if one.id not in of_namespace.alerts and self._has_room(of_namespace):
                alert = Alert(one.id, one.name, one.labels, one.since)
                of_namespace.alerts[one.id] = _Known(alert, self._clock())

    def _notice(self, of_namespace: _Namespace, alerts: Iterable[Alert]) -> None:
        """By the labels of them all: a pass too many costs less than each gate with each alert."""
        labels = {pair for alert in alerts for pair in alert.labels.items()}
        for key, gates in of_namespace.releases.items() if labels else ():
            if any(gate.match_labels.items() <= labels for gate in gates):
                self._changed.add(key)
                self._awake.set()

    def _sweep(self) -> None:
        now = self._clock()
        for name, of_namespace in list(self._namespaces.items()):
            over = [
                known.alert
                for known in of_namespace.alerts.values()
                if now - known.heard > (STANDS_S if known.alert.ended is None else _ENDED_STANDS_S)
            ]
            for alert in over:
                del of_namespace.alerts[alert.id]
            self._notice(of_namespace, over)
            if not of_namespace.alerts and not of_namespace.releases:
                del self._namespaces[name]


def _matches(gates: Gates, alert: Alert) -> bool:
    return any(gate.matches(alert.labels) for gate in gates)


def _later(before: Alert, new: Alert) -> Alert:
    """The state of an alert after a message that may be older than what is known."""
    if new.ended is not None:
        # of an earlier time than the one that goes on now
        old = new.ended < before.since if before.ended is None else new.ended <= before.ended
        return before if old else new
    if before.ended is not None:
        return before if new.since < before.ended else new
    return replace(new, since=max(before.since, new.since))
