"""Sees each request from outside: counts it, makes a span of it, and logs its failure with its trace."""

import contextlib
import logging
import time
from collections.abc import Iterator

from opentelemetry.trace import Span, Status, StatusCode
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from workloads.common.tracing import Tracing
from workloads.invitations import problems, trace
from workloads.invitations.clients import authorization_of
from workloads.invitations.problems import Code
from workloads.invitations.telemetry import Telemetry

log = logging.getLogger(__name__)

PROBES = frozenset({"/healthz", "/readyz"})
"""Not counted: kubelet's successes would thin the errors."""
NO_PROBES: frozenset[str] = frozenset()
"""Where they have a port of their own, nobody is let past what bounds and counts requests."""
UNMATCHED = "unmatched"
_INVITE = ("POST", "/api/invitations")
_FAILED = 500
_LEFT = 499
"""Nobody was answered, as nobody was there any more: the caller's doing, not this version's."""
_REPLAYED = b"idempotency-replayed"
_REVISION = b"x-revision"


class Observed:
    """ASGI middleware, the outermost."""

    def __init__(self, app: ASGIApp, *, telemetry: Telemetry, revision: str, probes: frozenset[str] = PROBES) -> None:
        """`revision`: told with each answer, so that a caller can say which version it was that answered."""
        self._app = app
        self._telemetry = telemetry
        self._revision = revision.encode()
        self._probes = probes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._probes:
            await self._app(scope, receive, send)
            return
        answer = _Answer(send, self._revision)
        ticket = self._telemetry.http.begin(time.monotonic())
        try:
            with _traced(self._telemetry.traces, scope, answer):
                await self._app(scope, receive, answer.send)
            answer.code = answer.code or _LEFT
        except Exception:
            answer.code = _FAILED
            log.exception("a request failed", extra={"fields": _about(scope)})
            raise
        finally:
            answer.code = answer.code or _FAILED  # cut off, as the process ends
            self._telemetry.http.end(ticket, route=_route(scope), code=answer.code, now=time.monotonic())
            if (scope["method"], _route(scope)) == _INVITE:
                self._telemetry.own.requested(_outcome(scope, answer))
            if self._telemetry.clients is not None:
                self._telemetry.clients.answered(authorization_of(scope["headers"]), answer.code)
        if answer.code >= _FAILED:
            log.warning("a request was not served", extra={"fields": {"code": answer.code, **_about(scope)}})


class _Answer:
    def __init__(self, send: Send, revision: bytes) -> None:
        self._send = send
        self._revision = revision
        self.code = 0
        """0: none yet."""
        self.replayed = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.code = message["status"]
            headers = message.get("headers", ())
            self.replayed = any(name.lower() == _REPLAYED for name, _ in headers)
            message = {**message, "headers": [*headers, (_REVISION, self._revision)]}
        await self._send(message)


def _outcome(scope: Scope, answer: _Answer) -> str:
    if problem := problems.noted(scope):
        return problem.name.lower()
    if answer.code == _LEFT:
        return "caller_left"
    if answer.code >= _FAILED:  # the answer to a defect is made outside of this
        return Code.INTERNAL_ERROR.name.lower()
    return "repeated" if answer.replayed else "invited"


@contextlib.contextmanager
def _traced(traces: Tracing, scope: Scope, answer: _Answer) -> Iterator[None]:
    if not traces.exports:
        yield
        return
    told = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name.startswith(b"trace")}
    with traces.request(scope["method"], told) as span:
        context = span.get_span_context()
        trace.put(
            scope, trace.Trace(f"{context.trace_id:032x}", f"{context.span_id:016x}", f"{context.trace_flags:02x}")
        )
        try:
            yield
        finally:
            _complete(span, scope, answer.code)


def _complete(span: Span, scope: Scope, code: int) -> None:
    route = _route(scope)
    span.update_name(f"{scope['method']} {route}")
    span.set_attribute("http.route", route)
    if code:
        span.set_attribute("http.response.status_code", code)
    if code >= _FAILED:
        span.set_status(Status(StatusCode.ERROR))


def _route(scope: Scope) -> str:
    """The router's template, never a path: that has codes in it."""
    return getattr(scope.get("route"), "path", UNMATCHED)


def _about(scope: Scope) -> dict[str, str]:
    return {"method": scope["method"], "route": _route(scope), "trace": trace.of(scope).trace_id}
