"""Alerts as a pass sees them: those that senders have sent, and those that a MetricSource was asked for.

Passes read the last answer and never wait. A source is asked only for Releases with a version on trial, by a task for
each. While it does not answer nothing is known, so the steps wait as for a metric; nobody is blamed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from controller.analysis.sources import MetricTroubleError, Sources
from controller.api.alerts import AlertGate, FiringAlert
from controller.api.reasons import Reason
from controller.api.status import Status
from controller.gates.store import AlertStore
from controller.kube.client import KubeError
from controller.kube.objects import Key
from controller.rollout.observation import MetricTrouble

EVERY_S = 10.0
PATIENCE_S = 30.0
"""For all gates together: also one that only waits for its turn at a source does not know what fires."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class KnownAlerts:
    firing: tuple[FiringAlert, ...] = ()
    pending: bool = False
    """A source has not answered yet."""
    trouble: MetricTrouble | None = None


_NOTHING = KnownAlerts()
_PENDING = KnownAlerts(pending=True)


@dataclass
class _Watched:
    gates: tuple[AlertGate, ...]
    """Those that name a source."""
    found: KnownAlerts = _PENDING
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class Alerts:
    """`wake`: called with a Release for which a source has said something else than before."""

    def __init__(self, sent: AlertStore, sources: Sources, wake: Callable[[Key], None]) -> None:
        self._sent = sent
        self._sources = sources
        self._wake = wake
        self._watched: dict[Key, _Watched] = {}

    def known(self, key: Key, gates: tuple[AlertGate, ...], status: Status) -> KnownAlerts:
        """At once."""
        kept = () if status.attempt is None else status.attempt.alerts
        sent = self._sent.firing(key, tuple(gate for gate in gates if not gate.source), kept)
        with_source = tuple(gate for gate in gates if gate.source)
        on_trial = status.attempt is not None and status.stable != ""
        found = self._found(key, with_source) if with_source and on_trial else self._leave(key)
        return KnownAlerts((*sent, *found.firing), found.pending, found.trouble)

    def forget(self, key: Key) -> None:
        self._sent.forget(key)
        self._leave(key)

    def close(self) -> None:
        for key in list(self._watched):
            self._leave(key)

    def _found(self, key: Key, gates: tuple[AlertGate, ...]) -> KnownAlerts:
        watched = self._watched.get(key)
        if watched is None or watched.gates != gates:
            self._leave(key)
            watched = self._watched[key] = _Watched(gates)
            watched.task = asyncio.create_task(self._watch(key, watched), name=f"alerts of {key}")
        return watched.found

    def _leave(self, key: Key) -> KnownAlerts:
        watched = self._watched.pop(key, None)
        if watched is not None and watched.task is not None:
            watched.task.cancel()
        return _NOTHING

    async def _watch(self, key: Key, watched: _Watched) -> None:
        while True:
            found = await self._ask(key, watched.gates)
            if found != watched.found:
                watched.found = found
                self._wake(key)
            await asyncio.sleep(EVERY_S)

    async def _ask(self, key: Key, gates: tuple[AlertGate, ...]) -> KnownAlerts:
        try:
            async with asyncio.timeout(PATIENCE_S):
                lists = [await self._sources.firing(key, gate.source, gate.match_labels) for gate in gates]
        except TimeoutError:
            message = f"alerts are not known: no answer within {PATIENCE_S:g} s"
            return KnownAlerts(trouble=MetricTrouble(Reason.SOURCE_OUTAGE, message))
        except MetricTroubleError as error:
            return KnownAlerts(trouble=error.trouble)
        except KubeError as error:
            return KnownAlerts(trouble=MetricTrouble(Reason.SOURCE_OUTAGE, f"alerts are not known: {error}"))
        except Exception as error:  # noqa: BLE001 - one Release's trouble must not end the watch
            _LOG.exception("asking for the alerts of %s failed unexpectedly", key)
            message = f"alerts are not known: {type(error).__name__}: {error}"
            return KnownAlerts(trouble=MetricTrouble(Reason.METRIC_BROKEN, message))
        by_id = {(alert.source, alert.id): alert for one in lists for alert in one}
        return KnownAlerts(tuple(sorted(by_id.values(), key=lambda alert: (alert.since, alert.id))))
