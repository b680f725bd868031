"""Counts the requests of an aiohttp server. Probes are left out: kubelet's successes would thin the errors."""

import time

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from workloads.common.http_metrics import HttpMetrics

PROBES = frozenset({"/healthz", "/readyz"})
UNMATCHED = "unmatched"


def counted_by(metrics: HttpMetrics) -> Middleware:
    """A middleware, to stand first. An exception counts as the 500 that the server makes of it."""

    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else UNMATCHED
        if route in PROBES:
            return await handler(request)
        ticket = metrics.begin(time.monotonic())
        code = 500
        try:
            response = await handler(request)
            code = response.status
        except web.HTTPException as answer:
            code = answer.status
            raise
        finally:
            metrics.end(ticket, route=route, code=code, now=time.monotonic())
        return response

    return count
