"""`pointsman sync` as a process: lease, watch, workers, health; and a clean end."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine
from dataclasses import dataclass
from typing import Any

from controller.kube.client import KubeClient
from controller.kube.events import Events
from controller.kube.lease import Lease
from controller.outward.addresses import Addresses, Network, api_server_of
from controller.runtime.background import background
from controller.runtime.controller import Request
from controller.runtime.event_router import EventRouter
from controller.runtime.http import Liveness, Telemetry, serve
from controller.runtime.kinds import until_served
from controller.runtime.leading import leading, resyncing
from controller.runtime.listening import listening
from controller.runtime.settings import Settings
from controller.runtime.worker import work
from controller.sync.controller import RepositoryController
from controller.sync.hooks import Hooks
from controller.workqueue import WorkQueue

_LOG = logging.getLogger(__name__)
LEASE_NAME = "pointsman-sync"
_LAST_WORDS_S = 3.0
_MOST_HOOKS = 64
"""Connections of forges."""

Feed = Callable[[EventRouter, Settings], Awaitable[None]]


@dataclass
class Agent:
    kube: KubeClient
    event_router: EventRouter
    controller: RepositoryController
    queue: WorkQueue[Request]
    events: Events
    telemetry: Telemetry
    leads: bool = False
    ready: bool = False

    @classmethod
    def assemble(cls, kube: KubeClient, *, networks: Collection[Network] = ()) -> Agent:
        """`networks`: addresses that repositories may have although they are never called otherwise."""
        event_router = EventRouter(kube)
        addresses = Addresses(api_server_of(kube), listed=networks)
        events = Events(kube, component="pointsman-sync")
        controller = RepositoryController(kube, addresses.resolve, event_router.add, kube.clock.now, events.emit)
        queue = event_router.register(controller)
        telemetry = Telemetry()
        telemetry.queue(controller.kind, queue)
        telemetry.gauge("pointsman_api_requests", "Requests to the API server so far.", lambda: float(kube.requests))
        telemetry.gauge(
            "pointsman_fetches_active", "Repositories being fetched.", lambda: float(controller.fetches.active)
        )
        return cls(kube, event_router, controller, queue, events, telemetry)

    @property
    def liveness(self) -> Liveness:
        return Liveness(self.controller.kind, lambda: self.queue.unfinished_since)

    async def run(self, settings: Settings, feed: Feed) -> None:
        """As long as `feed` does."""
        coroutines: list[Coroutine[Any, Any, None]] = [
            *(work(self.queue, self.controller, self._count) for _ in range(settings.workers)),
            resyncing(self.event_router, self.controller, settings.only),
            self.events.run(),
        ]
        try:
            async with background(coroutines):
                await feed(self.event_router, settings)
        finally:
            self.event_router.close()
            await self.controller.fetches.close()
            await self.events.flush(_LAST_WORDS_S)

    def _count(self, result: str) -> None:
        self.telemetry.reconciles.labels(self.controller.kind, result).inc()


async def run(settings: Settings, feed: Feed, *, hook_port: int) -> None:
    """Stands by, leads, and lets go. Raises LeaseLostError, KindsGoneError, KubeError; also in groups."""
    kube = await KubeClient.connect()
    try:
        agent = Agent.assemble(kube, networks=settings.source_networks)
        async with _endpoints(agent, settings, hook_port):
            await until_served(kube, settings.only, agent.event_router.resources)
            agent.ready = True
            lease = Lease(
                kube, settings.namespace, LEASE_NAME, settings.identity, pod=settings.pod, duration_s=settings.lease_s
            )
            async with leading(lease, agent.telemetry):
                kube.may_write = lease.is_fresh
                agent.leads = True
                try:
                    await agent.run(settings, feed)
                finally:
                    agent.leads = False
    finally:
        await kube.close()


@contextlib.asynccontextmanager
async def _endpoints(agent: Agent, settings: Settings, hook_port: int) -> AsyncIterator[None]:
    """Forges call a port of their own: whatever comes there, probes are answered."""
    hooks = Hooks(agent.kube, agent.controller, lambda: agent.leads)
    health = serve(
        agent.telemetry, settings.address, settings.port, queues=(agent.liveness,), ready=lambda: agent.ready
    )
    async with health, listening(hooks.routes(), settings.address, hook_port, most=_MOST_HOOKS) as port:
        _LOG.info("webhooks are answered at port %d", port)
        yield
