"""`/v1/ledger`: share ledgers over HTTP, for workers in any language (see workloads/common/SHARE.md).

Only the leader answers: it alone allocates, and what is reported lies in its memory. A caller shows a service account
token of the Release's namespace: who could report for others could give a canary any share.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from controller.kube.client import KubeError
from controller.queue_share.ledger import Ledger
from controller.queue_share.ports import MOST_CONSUMERS, Report
from controller.queue_share.stores.memory import MemoryLedgers

_MOST_BYTES = 4096
_BODY_S = 5.0
_AGAIN_S = "1"
_BEARER = "Bearer "


@dataclass(frozen=True)
class ShareApi:
    """`leads`: whether this process does. `namespace_of`: as `kube.callers.Callers.namespace`, of token and peer."""

    ledgers: MemoryLedgers
    leads: Callable[[], bool]
    namespace_of: Callable[[str, str], Awaitable[str]]
    clock: Callable[[], float] = time.time

    def routes(self) -> list[web.RouteDef]:
        service = "/v1/ledger/{namespace}/{name}"
        return [web.get(service, self._read), web.put(service + "/consumers/{consumer}", self._report)]

    async def _read(self, request: web.Request) -> web.Response:
        if refusal := await self._refusal(request):
            return refusal
        return await self._answer(_service_of(request))

    async def _report(self, request: web.Request) -> web.Response:
        if refusal := await self._refusal(request):
            return refusal
        try:
            report = _report_of(request.match_info["consumer"], await _body_of(request))
        except TimeoutError:
            return _problem(408, f"the body did not arrive within {_BODY_S:g} s")
        except ValueError as problem:
            return _problem(400, str(problem))
        if not self.ledgers.take(_service_of(request), report):
            return _later(f"{_service_of(request)} already has {MOST_CONSUMERS} consumers, the maximum")
        return await self._answer(_service_of(request))

    async def _refusal(self, request: web.Request) -> web.Response | None:
        """Closes the connection: who is refused holds none, and the next one may reach the leader."""
        refusal = await self._reason_to_refuse(request)
        if refusal is not None:
            refusal.force_close()
        return refusal

    async def _reason_to_refuse(self, request: web.Request) -> web.Response | None:
        if not self.leads():
            return _later("this operator is not the leader; try again")
        authorization = request.headers.get("Authorization", "")
        if not authorization.startswith(_BEARER):
            return _problem(401, "a service account token is required: Authorization: Bearer TOKEN, audience pointsman")
        try:
            namespace = await self.namespace_of(authorization.removeprefix(_BEARER), request.remote or "")
        except KubeError as problem:
            return _later(f"the token cannot be verified right now: {problem}")
        if not namespace:
            return _problem(401, "the token is expired, or is not a service account token for audience pointsman")
        if namespace != request.match_info["namespace"]:
            return _problem(
                403, f"the token is from namespace {namespace}; it is valid for Releases of that namespace only"
            )
        return None

    async def _answer(self, service: str) -> web.Response:
        stored = await self.ledgers.read(service)
        if stored is None:
            return _problem(404, f"no ledger for {service}; its Release may be new, or may use another router")
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
    }


async def _body_of(request: web.Request) -> Mapping[str, Any]:
    """Raises ValueError, TimeoutError."""
    try:
        async with asyncio.timeout(_BODY_S):
            raw = await _read(request)
    except (web.RequestPayloadError, ConnectionError) as error:
        raise ValueError(f"the body is cut off: {error}") from error
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the body is not JSON: {error}") from error
    if not isinstance(body, Mapping):
        raise ValueError("the body is not a JSON object")  # noqa: TRY004 - one kind of error for what was sent
    return body


async def _read(request: web.Request) -> bytes:
    raw = b""
    async for piece in request.content.iter_any():
        raw += piece
        if len(raw) > _MOST_BYTES:
            raise ValueError(f"the body is larger than {_MOST_BYTES} bytes")
    return raw


def _report_of(consumer: str, body: Mapping[str, Any]) -> Report:
    """Raises ValueError."""
    said: dict[str, Any] = {"revision": "", "claims": None, "seq": None, "waiting": 0, **body}
    return Report(consumer, said["revision"], said["claims"], said["seq"], said["waiting"])


def _later(sentence: str) -> web.Response:
    problem = _problem(503, sentence)
    problem.headers["Retry-After"] = _AGAIN_S
    return problem


def _problem(status: int, sentence: str) -> web.Response:
    return web.json_response({"error": sentence}, status=status)
