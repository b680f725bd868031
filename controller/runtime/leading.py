"""What each process that leads has: its Lease for as long as it works, and a resync of each kind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from controller.kube.client import KubeError
from controller.kube.lease import Lease
from controller.runtime.background import background
from controller.runtime.controller import Controller
from controller.runtime.event_router import EventRouter
from controller.runtime.http import Telemetry

_LOG = logging.getLogger(__name__)
_RESYNC_S = 300.0
_RESYNC_AGAIN_S = 30.0


@contextlib.asynccontextmanager
async def leading(lease: Lease, telemetry: Telemetry) -> AsyncIterator[None]:
    """Stands by until this process leads; it does while the block runs. Raises LeaseLostError in a group."""
    await lease.acquire()
    telemetry.leads.set(1)
    try:
        async with background([lease.keep()]):
            yield
    finally:
        await lease.release()


async def resyncing(event_router: EventRouter, controller: Controller, only: str | None) -> None:
    """Finds what watches lost, until it is cancelled."""
    pause = _RESYNC_S
    while True:
        await asyncio.sleep(pause)
        try:
            await event_router.resync(controller, only)
            pause = _RESYNC_S
        except KubeError as error:
            pause = max(_RESYNC_AGAIN_S, error.retry_after)
            _LOG.warning("the resync of each %s could not list: %s", controller.kind, error)
        except Exception:  # noqa: BLE001 - one odd answer must not end the process that leads
            pause = _RESYNC_AGAIN_S
            _LOG.exception("the resync of each %s failed unexpectedly, again in %.0f s", controller.kind, pause)
