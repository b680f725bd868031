"""The way to a ledger over HTTP."""

import asyncio
import time
from contextlib import asynccontextmanager, suppress

from aiohttp import web
from aiohttp.test_utils import TestServer

from workloads.common.share_http import HttpLedger
from workloads.common.share_ledger import Consumer, LedgerError


@asynccontextmanager
async def silent():
    """An operator that never answers."""
    over = asyncio.Event()

    async def take(_):
        await over.wait()
        return web.Response()

    app = web.Application()
    app.router.add_get("/{path:.*}", take)
    async with TestServer(app) as server:
        ledger = HttpLedger(f"http://127.0.0.1:{server.port}", Consumer("shop/thumbnails", "c.1", "v2"))
        try:
            yield ledger
        finally:
            await ledger.close()
            over.set()


async def test_who_is_told_to_stop_in_the_moment_in_which_a_request_is_given_up_stops():
    async def ask():
        while True:
            with suppress(LedgerError):
                await ledger.read()

    async with silent() as ledger:
        asking = asyncio.create_task(ask())
        await asyncio.sleep(0)  # the request's clock runs
        loop = asyncio.get_running_loop()
        loop.call_later(1.6, asking.cancel)
        loop.call_later(1.4, time.sleep, 0.3)  # both are due at once then
        await asyncio.wait([asking], timeout=2.5)
        assert asking.cancelled()
