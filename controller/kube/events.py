"""Events on Releases and ReleaseRepositories: sent in the background, never in the way of traffic.

An event that repeats within ten minutes counts up the one that is there, as client-go does, and a backlog that
grows too long loses its oldest: they are for people, and the status has what counts.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Mapping
from typing import Any, Protocol

from controller.api import times
from controller.api.resources import EVENTS
from controller.kube.client import KubeClient, KubeError
from controller.kube.objects import Key
from controller.sending import Sending

_LOG = logging.getLogger(__name__)
_BACKLOG = 1000
_REMEMBERED = 2000
_REPEAT_S = 600.0
_COMPONENT = "pointsman"


class Emitted(Protocol):
    """Learns of each event that is sent."""

    def __call__(self, key: Key, reason: str, message: str, *, warning: bool) -> object: ...


class Events:
    def __init__(self, kube: KubeClient, *, component: str = _COMPONENT, emitted: Emitted | None = None) -> None:
        self._kube = kube
        self._component = component
        self._emitted = emitted
        self._backlog: deque[dict[str, Any]] = deque(maxlen=_BACKLOG)
        self._arrived = asyncio.Event()
        self._sending = Sending()
        self._sent: OrderedDict[tuple[str, str, str], tuple[str, int, float]] = OrderedDict()

    def emit(self, subject: Mapping[str, Any], reason: str, message: str, *, warning: bool) -> None:
        now = times.to_seconds_text(time.time())
        metadata = subject["metadata"]
        if self._emitted is not None:
            self._emitted(Key(metadata["namespace"], metadata["name"]), reason, message, warning=warning)
        self._backlog.append(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"namespace": metadata["namespace"], "name": f"{metadata['name']}.{secrets.token_hex(8)}"},
                "involvedObject": {
                    "apiVersion": subject["apiVersion"],
                    "kind": subject["kind"],
                    "namespace": metadata["namespace"],
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                },
                "reason": reason,
                "message": message[:1024],
                "type": "Warning" if warning else "Normal",
                "source": {"component": self._component},
                "firstTimestamp": now,
                "lastTimestamp": now,
                "count": 1,
            }
        )
        self._arrived.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            while self._backlog:
                await self._sending.send(self._send_or_drop(self._backlog.popleft()))
            self._arrived.clear()
            await self._arrived.wait()

    async def flush(self, seconds: float) -> None:
        """Gives what is still waiting a last chance."""
        try:
            async with asyncio.timeout(seconds):
                await self._sending.finished()
                while self._backlog:
                    await self._send(self._backlog.popleft())
        except (TimeoutError, KubeError) as error:
            why = str(error) or f"no answer within {seconds:g} s"
            _LOG.warning("%d events were dropped at the end: %s", len(self._backlog) + 1, why)

    async def _send_or_drop(self, event: dict[str, Any]) -> None:
        try:
            await self._send(event)
        except KubeError as error:
            _LOG.warning("event %s of %s was dropped: %s", event["reason"], event["involvedObject"]["name"], error)
        except Exception:  # noqa: BLE001 - one that cannot be sent must not keep back those after it
            _LOG.exception("event %s of %s was dropped", event["reason"], event["involvedObject"]["name"])

    async def _send(self, event: dict[str, Any]) -> None:
        subject = event["involvedObject"]
        same = (subject["uid"], event["reason"], event["message"])
        now = time.time()
        name, count, last = self._sent.pop(same, ("", 0, now))
        namespace = subject["namespace"]
        if name and now - last < _REPEAT_S:
            patch = {"count": count + 1, "lastTimestamp": event["lastTimestamp"]}
            await self._kube.patch(EVENTS, namespace, name, patch)
            self._sent[same] = (name, count + 1, now)
        else:
            await self._kube.create(EVENTS, namespace, event)
            self._sent[same] = (event["metadata"]["name"], 1, now)
        while len(self._sent) > _REMEMBERED:
            self._sent.popitem(last=False)
