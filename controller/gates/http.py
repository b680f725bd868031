"""`/v1/alerts`: where Grafana, Alertmanager and Kapacitor send their alerts.

A sender shows a service account token, as queue workers do, and needs the right to send alerts of the namespace: who
may send them can take a version back. The namespace stands in the path, or each alert has it as a label.

Only the leader answers, because it keeps alerts in memory. What a sender may cost is bounded before its body is read,
so a storm of alerts delays no pass.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from controller.gates.formats import Alert, Delivery, FormatError, read
from controller.gates.store import AlertStore
from controller.kube.admission import RefusedError, TooLargeError, admitted, body_of
from controller.kube.callers import Caller
from controller.kube.client import KubeError
from controller.kube.objects import Key

ROLE = "pointsman-alerts"
SUBRESOURCE = "alerts"
NAMESPACE_LABEL = "namespace"
_MOST_BYTES = 256 * 1024
_MOST_NAMESPACES = 20
"""In one request, of alerts that name theirs by a label."""
_BODY_S = 5.0
_PER_S, _BURST = 20.0, 100.0
"""Requests of one sender. Each holds many alerts."""
_SENDERS = 1_000
_LEFT_OUT_SHOWN = 10


@dataclass
class _Rates:
    """Requests that each sender may make now, by its name."""

    now: Callable[[], float]
    _left: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def take(self, sender: str) -> bool:
        left, at = self._left.pop(sender, (_BURST, self.now()))
        now = self.now()
        left = min(_BURST, left + (now - at) * _PER_S)
        self._left[sender] = (max(0.0, left - 1), now)
        if len(self._left) > _SENDERS:
            self._left.popitem(last=False)
        return left >= 1


@dataclass(frozen=True)
class AlertApi:
    """`leads`: whether this process does. `caller_of`: as `kube.callers.Callers.caller`, of token and peer.
    `may_send`: as `kube.reporters.Reporters.may_report`, of a whole namespace.
    """

    store: AlertStore
    leads: Callable[[], bool]
    caller_of: Callable[[str, str], Awaitable[Caller]]
    may_send: Callable[[Caller, Key], Awaitable[bool]]
    clock: Callable[[], float] = time.time
    _rates: _Rates = field(default_factory=lambda: _Rates(time.monotonic))

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/alerts", self._receive), web.post("/v1/alerts/{namespace}", self._receive)]

    async def _receive(self, request: web.Request) -> web.Response:
        try:
            caller = await self._admit(request)
            namespace = request.match_info.get("namespace")
            if namespace is not None:
                await self._authorize(caller, namespace)
            delivery = await self._delivery(request)
            by_namespace, left_out = _sorted(delivery, namespace)
            if namespace is None:
                for one in by_namespace:
                    await self._authorize(caller, one)
        except RefusedError as refused:
            return refused.response()
        taken = 0
        for one, alerts in by_namespace.items():
            refused_ = self.store.take(one, alerts)
            taken += len(alerts) - refused_
            if refused_:
                left_out.append(f"namespace {one} has too many alerts: {refused_} of them were not taken")
        answer: dict[str, Any] = {"taken": taken}
        if left_out:
            answer["leftOut"] = left_out[:_LEFT_OUT_SHOWN]
        # a sender that repeats what cannot be taken would do so for hours
        return web.json_response(answer, status=200 if taken or not left_out else 400)

    async def _admit(self, request: web.Request) -> Caller:
        """Raises RefusedError."""
        caller = await admitted(request, leads=self.leads, caller_of=self.caller_of)
        if not self._rates.take(caller.username):
            raise RefusedError(503, f"{caller.username} sends more than {_PER_S:g} requests a second; group the alerts")
        return caller

    async def _authorize(self, caller: Caller, namespace: str) -> None:
        """Raises RefusedError."""
        try:
            allowed = await self.may_send(caller, Key(namespace, ""))
        except KubeError as problem:
            raise RefusedError(503, f"the right to send alerts cannot be verified right now: {problem}") from problem
        if not allowed:
            raise RefusedError(
                403,
                f"{caller.username} may not send alerts of namespace {namespace}: bind ClusterRole {ROLE} to it there",
            )

    async def _delivery(self, request: web.Request) -> Delivery:
        """Raises RefusedError."""
        try:
            async with asyncio.timeout(_BODY_S):
                raw = await body_of(request, most=_MOST_BYTES)
            return read(json.loads(raw), self.clock())
        except TimeoutError as error:
            raise RefusedError(408, f"the body did not arrive within {_BODY_S:g} s") from error
        except TooLargeError as error:
            raise RefusedError(413, f"{error}; set max_alerts of the receiver") from error
        except (web.RequestPayloadError, ConnectionError) as error:
            raise RefusedError(400, f"the body is cut off: {error}") from error
        except FormatError as error:
            raise RefusedError(400, str(error)) from error
        except (ValueError, RecursionError) as error:
            raise RefusedError(400, f"the body is not JSON: {error}") from error


def _sorted(delivery: Delivery, namespace: str | None) -> tuple[Mapping[str, list[Alert]], list[str]]:
    """By namespace, and what was left out. Raises RefusedError."""
    found: dict[str, list[Alert]] = {}
    left_out = list(delivery.left_out)
    for alert in delivery.alerts:
        where = namespace or alert.labels.get(NAMESPACE_LABEL)
        if where:
            found.setdefault(where, []).append(alert)
        else:
            left_out.append(f"{alert.name} has no label {NAMESPACE_LABEL}; send it to /v1/alerts/NAMESPACE")
    if len(found) > _MOST_NAMESPACES:
        raise RefusedError(
            400, f"alerts of {len(found)} namespaces at once, maximum is {_MOST_NAMESPACES}; group them by namespace"
        )
    return found, left_out
