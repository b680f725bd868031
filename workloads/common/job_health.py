"""/healthz and /readyz for kubelet."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from workloads.common.consumer import Consumer

_STUCK_S = 60.0


class Health:
    """Ready: all that it needs was reached, it does not drain, and its clock is right.
    Healthy: no poll hangs."""

    def __init__(self, consumer: Consumer, *, wait_s: float) -> None:
        self.ready = False
        self.app = web.Application()
        self.app.router.add_get("/healthz", self._healthz)
        self.app.router.add_get("/readyz", self._readyz)
        self._consumer = consumer
        self._longest = wait_s + _STUCK_S

    async def _healthz(self, _: web.Request) -> web.Response:
        if (seconds := self._consumer.polls_for()) > self._longest:
            return web.Response(text=f"a poll hangs for {seconds:.0f} s\n", status=503)
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        if self._consumer.clock_is_wrong:
            return web.Response(text="the clock is wrong: no job is taken\n", status=503)
        return web.Response(text="ok\n") if self.ready else web.Response(text="not ready\n", status=503)


@asynccontextmanager
async def listening(app: web.Application, host: str, port: int) -> AsyncIterator[int]:
    """Yields the port."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
