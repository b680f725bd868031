"""`/v1/ledger`: share ledgers over HTTP, for workers in any language (see workloads/common/SHARE.md).

Only the leader answers: it alone allocates, and what is reported lies in its memory. A caller shows a service account
token of the Release's namespace, and needs the right to report to this Release: who could report for others could give
a canary any share.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from controller.kube.admission import RefusedError, TooLargeError, admitted, body_of, problem
from controller.kube.callers import Caller
from controller.kube.client import KubeError
from controller.kube.objects import Key
from controller.kube.reporters import ROLE
from controller.queue_share.ledger import Ledger
from controller.queue_share.ports import MOST_CONSUMERS, Report
from controller.queue_share.stores.memory import MemoryLedgers

_MOST_BYTES = 4096
_BODY_S = 5.0


@dataclass(frozen=True)
class ShareApi:
    """`leads`: whether this process does. `caller_of`: as `kube.callers.Callers.caller`, of token and peer.
    `may_report`: as `kube.reporters.Reporters.may_report`.
    """

    ledgers: MemoryLedgers
    leads: Callable[[], bool]
    caller_of: Callable[[str, str], Awaitable[Caller]]
    may_report: Callable[[Caller, Key], Awaitable[bool]]
    clock: Callable[[], float] = time.time

    def routes(self) -> list[web.RouteDef]:
        service = "/v1/ledger/{namespace}/{name}"
        return [web.get(service, self._read), web.put(service + "/consumers/{consumer}", self._report)]

    async def _read(self, request: web.Request) -> web.Response:
        try:
            await self._admit(request)
        except RefusedError as refused:
            return refused.response()
        return await self._answer(_service_of(request))

    async def _report(self, request: web.Request) -> web.Response:
        try:
            caller = await self._admit(request)
            await self._authorize(caller, request)
        except RefusedError as refused:
            return refused.response()
        try:
            report = _report_of(request.match_info["consumer"], await _body_of(request))
        except TimeoutError:
            return problem(408, f"the body did not arrive within {_BODY_S:g} s")
        except ValueError as error:
            return problem(400, str(error))
        if not self.ledgers.take(_service_of(request), report):
            return problem(503, f"{_service_of(request)} already has {MOST_CONSUMERS} consumers, the maximum")
        return await self._answer(_service_of(request))

    async def _admit(self, request: web.Request) -> Caller:
        """Raises RefusedError."""
        caller = await admitted(request, leads=self.leads, caller_of=self.caller_of)
        if caller.namespace != request.match_info["namespace"]:
            raise RefusedError(
                403, f"the token is from namespace {caller.namespace}; it is valid for Releases of that namespace only"
            )
        return caller

    async def _authorize(self, caller: Caller, request: web.Request) -> None:
        """Raises RefusedError. Not asked for a Release without a ledger: there are as many names as anybody likes."""
        service, release = _service_of(request), Key(request.match_info["namespace"], request.match_info["name"])
        if await self.ledgers.read(service) is None:
            return
        try:
            allowed = await self.may_report(caller, release)
        except KubeError as error:
            raise RefusedError(503, f"the right to report cannot be verified right now: {error}") from error
        if not allowed:
            raise RefusedError(
                403,
                f"{caller.username} may not report to Release {service}: bind ClusterRole {ROLE} to it in namespace "
                f"{release.namespace}",
            )

    async def _answer(self, service: str) -> web.Response:
        stored = await self.ledgers.read(service)
        if stored is None:
            return problem(404, f"no ledger for {service}; its Release may be new, or may use another router")
        return web.json_response({"version": stored.version, **_said(stored.ledger, self.clock())})


def _service_of(request: web.Request) -> str:
    return f"{request.match_info['namespace']}/{request.match_info['name']}"


def _said(ledger: Ledger, now: float) -> dict[str, Any]:
    return {
        "stable": ledger.stable,
        "canary": ledger.canary,
        "draining": list(ledger.draining),
        "share": ledger.share,
        "epoch": ledger.epoch,
        "minEpoch": ledger.min_epoch,
        # a difference, because two clocks need not agree
        "expiresIn": max(0.0, ledger.expires_at - now),
        "unused": ledger.unused,
        "granted": dict(ledger.granted),
        "onTrial": ledger.on_trial,
        "trialLeft": max(0.0, ledger.trial_until - now),
    }


async def _body_of(request: web.Request) -> Mapping[str, Any]:
    """Raises ValueError, TimeoutError."""
    try:
        async with asyncio.timeout(_BODY_S):
            raw = await body_of(request, most=_MOST_BYTES)
    except TooLargeError as error:
        raise ValueError(str(error)) from error
    except (web.RequestPayloadError, ConnectionError) as error:
        raise ValueError(f"the body is cut off: {error}") from error
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the body is not JSON: {error}") from error
    if not isinstance(body, Mapping):
        raise ValueError("the body is not a JSON object")  # noqa: TRY004 - one kind of error for what was sent
    return body


def _report_of(consumer: str, body: Mapping[str, Any]) -> Report:
    """Raises ValueError."""
    said: dict[str, Any] = {"revision": "", "claims": None, "seq": None, "waiting": 0, **body}
    return Report(consumer, said["revision"], said["claims"], said["seq"], said["waiting"])
