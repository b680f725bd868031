"""The subject: a service whose quality is a property of its version, for demonstrations and tests.

It stands in for the production services, so that releases, analyses and rollbacks
can be watched before these exist and with faults that are known exactly.
"""

import asyncio
import json
import logging
import time
from contextlib import AsyncExitStack

from aiohttp import web

from workloads.common.aiohttp_metrics import counted_by
from workloads.common.exporter import Exporter
from workloads.common.faults import Fates
from workloads.common.http_metrics import HttpMetrics
from workloads.subject.settings import Settings

log = logging.getLogger(__name__)

KEEP_ALIVE_S = 120.0
"""Longer than routers keep an idle connection (Traefik, as Go's default: 90 s): the side that closes
first must be the router, or it may send a request into a connection that is being closed."""


class Subject:
    """Answers; `draining` makes it unready and closes each connection with its next answer."""

    def __init__(self, settings: Settings, metrics: HttpMetrics) -> None:
        who = settings.identity
        self.draining = False
        self.app = web.Application(middlewares=[counted_by(metrics)])
        self.app.router.add_get("/", self._answer)
        self.app.router.add_get("/healthz", self._healthz)
        self.app.router.add_get("/readyz", self._readyz)
        self._fates = Fates(settings.faults, settings.seed)
        self._headers = {"X-Revision": who.revision, "X-Version": settings.version, "X-Pod": who.pod}
        self._body = _json({"version": settings.version, "revision": who.revision, "pod": who.pod})
        self._problem = _json(
            {
                "type": "about:blank",
                "title": "Internal Server Error",
                "status": 500,
                "detail": _told_to_fail(settings),
            }
        )

    async def _answer(self, _: web.Request) -> web.Response:
        fate = self._fates.next()
        if fate.delay:
            await asyncio.sleep(fate.delay)
        if fate.fails:
            return self._response(self._problem, status=500, content_type="application/problem+json")
        return self._response(self._body, status=200, content_type="application/json")

    def _response(self, body: bytes, *, status: int, content_type: str) -> web.Response:
        response = web.Response(body=body, status=status, content_type=content_type, headers=self._headers)
        if self.draining:
            # Clients that keep connections alive would never notice that the endpoint is gone.
            response.force_close()
        return response

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        return web.Response(text="draining\n", status=503) if self.draining else web.Response(text="ok\n")


async def serve(settings: Settings, *, stop: asyncio.Event) -> None:
    """Serve until `stop`, then drain, finish what is in flight, and push the last counts.

    Endpoints leave a router's table some time after the pod was told to go (Traefik
    looks every two seconds), so a pod that stopped accepting at once would refuse
    requests that nobody could have known to send elsewhere.
    """
    metrics = HttpMetrics(settings.identity)
    subject = Subject(settings, metrics)
    async with AsyncExitStack() as stack:
        if settings.telemetry_url:
            exporter = Exporter(
                url=settings.telemetry_url,
                identity=settings.identity,
                sources=[lambda time_ns: metrics.take(now=time.monotonic(), time_ns=time_ns)],
                bucket=settings.telemetry_bucket,
                token=settings.telemetry_token,
            )
            await stack.enter_async_context(exporter)
        runner = web.AppRunner(
            subject.app,
            access_log=None,
            keepalive_timeout=KEEP_ALIVE_S,
            shutdown_timeout=settings.shutdown.finish,
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)  # runs before the exporter's end, so the last answers are counted
        await web.TCPSite(runner, settings.host, settings.port, backlog=1024).start()
        log.info("serving", extra={"fields": {"port": runner.addresses[0][1], "version": settings.version}})
        await stop.wait()
        subject.draining = True
        log.info("draining", extra={"fields": {"seconds": settings.shutdown.drain}})
        await asyncio.sleep(settings.shutdown.drain)
    log.info("stopped")


def _told_to_fail(settings: Settings) -> str:
    faults = settings.faults
    return (
        f"Version {settings.version} was told to fail: ERROR_RATE {faults.error_rate}, "
        f"ERRORS_ABOVE {faults.errors_above}"
    )


def _json(value: dict[str, object]) -> bytes:
    return json.dumps(value).encode() + b"\n"
