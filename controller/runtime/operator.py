"""The operator as a process: lease, watches, workers, health; and a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from controller import registry
from controller.analysis.alerts import Alerts
from controller.analysis.controller import AnalysisController
from controller.analysis.measuring import Measuring
from controller.analysis.runs import RunStore
from controller.analysis.sources import Sources
from controller.api.resources import NAMESPACES, RELEASES
from controller.decision_log.lane import Lane
from controller.decision_log.log import DecisionLog
from controller.decision_log.sinks import NOWHERE, SinkSettings
from controller.effects.carrier import EffectContext
from controller.effects.outbox import Outbox, kinds
from controller.gates.http import SUBRESOURCE, AlertApi
from controller.gates.store import AlertStore
from controller.kube.cache import ObjectCache
from controller.kube.callers import Callers
from controller.kube.client import KubeClient
from controller.kube.config_maps import ConfigMaps
from controller.kube.events import Events
from controller.kube.host_names import HostNames
from controller.kube.lease import Lease
from controller.kube.objects import Key
from controller.kube.reporters import Reporters
from controller.kube.watch import ChildWatch
from controller.outward.addresses import Addresses, Network, api_server_of
from controller.ports import RouterContext
from controller.providers.rendering import Renderer
from controller.queue_share.allocator import Allocators
from controller.queue_share.http import ShareApi
from controller.queue_share.ports import LedgerPlace, LedgerStore
from controller.queue_share.stores.memory import MemoryLedgers
from controller.rollout.incidents import LOST
from controller.runtime.background import background
from controller.runtime.controller import Controller, Request, Runnable
from controller.runtime.event_router import EventRouter
from controller.runtime.executor import Executor
from controller.runtime.http import Liveness, Telemetry, serve
from controller.runtime.kinds import until_served
from controller.runtime.leading import leading, resyncing
from controller.runtime.listeners import Listeners
from controller.runtime.listening import listening
from controller.runtime.notify_defaults import NotifyDefaults
from controller.runtime.observer import Observer
from controller.runtime.open_alerts import OpenAlerts
from controller.runtime.reachability import NETWORK_S, Reachability
from controller.runtime.reconciler import Reconciler
from controller.runtime.release_metrics import ReleaseMetrics
from controller.runtime.releases import ReleaseController, release_request
from controller.runtime.settings import Settings
from controller.runtime.sweeping import SweepingController
from controller.runtime.worker import work
from controller.workqueue import WorkQueue

_TIDY_S = 30.0
_LAST_WORDS_S = 3.0
_MOST_WORKERS = 2_000
"""Connections of queue workers, each of which holds one."""
LEASE_NAME = "pointsman"

Feed = Callable[[EventRouter, Settings], Awaitable[None]]
"""Hands what people write to the event router, until it is time to stop."""


@dataclass
class Operator:
    """Parts that live as long as the process leads."""

    kube: KubeClient
    event_router: EventRouter
    """With a controller for each kind."""
    runnables: Sequence[Runnable]
    """What works beside them."""
    reconciler: Reconciler
    analysis: AnalysisController
    outbox: Outbox[Key]
    events: Events
    log: DecisionLog
    telemetry: Telemetry
    liveness: tuple[Liveness, ...]
    """Of each queue."""
    allocators: Allocators
    ledgers: MemoryLedgers
    """Those that workers report to here."""
    alerts: AlertStore
    leads: bool = False
    ready: bool = False

    @classmethod
    async def assemble(
        cls,
        kube: KubeClient,
        own_namespace: str,
        *,
        addresses: Addresses | None = None,
        source_networks: Collection[Network] = (),
        sinks: SinkSettings = NOWHERE,
        network_s: float = NETWORK_S,
    ) -> Operator:
        """Raises KubeError. The cluster's identity is that of its kube-system namespace.

        `addresses`: where tenants' webhooks may go; None: nowhere inside of the node, nor to the API server.
        `source_networks`: inside of the cluster, where tenants' MetricSources may be.
        `network_s`: seconds until a version's first ready pod is reached from every node.
        """
        for folder in registry.FOLDERS:
            registry.modules(folder)  # now: importing a provider takes a second that a leader does not have
        cluster = (await kube.get(NAMESPACES, None, "kube-system"))["metadata"]["uid"]
        event_router = EventRouter(kube)

        def wake(key: Key) -> None:
            event_router.add(release_request(key))

        cache, config_maps, hosts = ObjectCache(kube), ConfigMaps(kube), HostNames(wake)
        ledgers = MemoryLedgers()
        clock = kube.clock.now
        allocators = Allocators(partial(_ledgers_of, ledgers), clock=clock)
        telemetry = Telemetry()
        log = DecisionLog([Lane(sink, telemetry.count_logged) for sink in sinks.sinks(cluster)], clock)
        events, runs = Events(kube, emitted=log.event), RunStore(kube)
        api_server = api_server_of(kube)
        of_sources = Addresses(api_server, listed=source_networks, inside=False)
        sources = Sources(kube, cluster=cluster, own_namespace=own_namespace, resolve=of_sources.resolve)
        measuring = Measuring(runs, sources, telemetry.look_lag.observe, clock, log.look)
        analysis = AnalysisController(measuring, runs, clock, wake)
        release_metrics = ReleaseMetrics(clock)
        telemetry.registry.register(release_metrics)
        texts = Renderer()
        context = EffectContext(kube, addresses or Addresses(api_server), clock, runs, cluster, texts)
        lost = partial(_emit_lost, events)
        outbox = Outbox(kinds(context), wake, clock=clock, lost=lost)
        alerts = AlertStore(wake, clock)
        reachability = Reachability(clock, network_s)
        reconciler = Reconciler(
            kube=kube,
            cache=cache,
            observer=Observer(
                cache, config_maps, cluster, RouterContext(cache, (allocators, hosts, kube.clock)), reachability
            ),
            executor=Executor(cache, runs, events, config_maps),
            analysis=analysis,
            runs=runs,
            sources=sources,
            outbox=outbox,
            open_alerts=OpenAlerts(outbox, clock, lost),
            clock=clock,
            hosts=hosts,
            reachability=reachability,
            config_maps=config_maps,
            listeners=Listeners((release_metrics, log)),
            alerts=Alerts(alerts, sources, wake),
            notify_defaults=NotifyDefaults(kube),
        )
        controllers: tuple[Controller, ...] = (
            ReleaseController(kube, cache, config_maps, reconciler, allocators),
            SweepingController(kube, clock),
        )
        liveness = list[Liveness]()
        for controller in controllers:
            queue = event_router.register(controller)
            telemetry.queue(controller.kind, queue)
            liveness.append(Liveness(controller.kind, partial(_unfinished_since, queue)))
        # a measurement takes as long as its source does: what can be asked of the queue is that it is begun
        liveness.append(Liveness("analysis", lambda: analysis.untaken_since))
        telemetry.gauge("pointsman_api_requests", "Requests to the API server so far.", lambda: float(kube.requests))
        telemetry.gauge(
            "pointsman_clock_behind_seconds",
            "Seconds by which the operator's time is behind the API server's; it follows slowly.",
            lambda: kube.clock.behind_s,
        )
        telemetry.gauge("pointsman_analysis_active", "Releases being measured.", lambda: float(analysis.active))
        telemetry.gauge("pointsman_effects_owed", "Effects owed by Releases.", lambda: float(len(outbox)))
        telemetry.gauge("pointsman_effects_active", "Effects being carried out.", lambda: float(outbox.active))
        telemetry.gauge("pointsman_alerts_firing", "Alerts that fire, as senders say.", lambda: float(len(alerts)))
        return cls(
            kube=kube,
            event_router=event_router,
            runnables=(events, analysis, outbox, texts, allocators, alerts, log),
            reconciler=reconciler,
            analysis=analysis,
            outbox=outbox,
            events=events,
            log=log,
            telemetry=telemetry,
            liveness=tuple(liveness),
            allocators=allocators,
            ledgers=ledgers,
            alerts=alerts,
        )

    async def _work(self, controller: Controller, queue: WorkQueue[Request], watches: Sequence[ChildWatch]) -> None:
        """Not before everything there is was listed once: it saves each Release its own reads."""
        await asyncio.gather(*(watch.tried.wait() for watch in watches))
        await work(queue, controller, lambda result: self.telemetry.reconciles.labels(controller.kind, result).inc())

    async def _tidy(self) -> None:
        """At rest nothing else would do it."""
        while True:
            await asyncio.sleep(_TIDY_S)
            self.reconciler.cache.evict_old()
            await self.reconciler.sources.tidy()
            _give_memory_back()

    async def run(self, settings: Settings, feed: Feed) -> None:
        """As long as `feed` does; then, however that ends, what runs is let go."""
        watches = self.event_router.child_watches(settings.only)
        coroutines: list[Coroutine[Any, Any, None]] = [
            *(watch.run() for watch in watches),
            *(runnable.run() for runnable in self.runnables),
            self._tidy(),
        ]
        for controller, queue in self.event_router:
            workers = settings.workers if controller.workers is None else controller.workers
            coroutines += [self._work(controller, queue, watches) for _ in range(workers)]
            coroutines.append(resyncing(self.event_router, controller, settings.only))
        self.event_router.start(settings.only)
        try:
            async with background(coroutines):
                self.ready = True
                await feed(self.event_router, settings)
        finally:
            self._stop()
            await asyncio.gather(self.events.flush(_LAST_WORDS_S), self.log.flush(_LAST_WORDS_S))
            await self.close()

    def _stop(self) -> None:
        self.event_router.close()
        self.analysis.close()
        self.reconciler.alerts.close()

    async def close(self) -> None:
        """Ends what asks sources, and closes the connections to them; without last words, as when a process dies."""
        self._stop()
        await self.reconciler.sources.close()
        await self.allocators.close()


def _give_memory_back() -> None:
    """To the system: the allocator keeps what a start or a burst has taken, and it counts against the pod's limit."""
    with contextlib.suppress(AttributeError, OSError):  # of a C library that is not glibc
        ctypes.CDLL(None).malloc_trim(0)


def _unfinished_since(queue: WorkQueue[Request]) -> float | None:
    return queue.unfinished_since


async def _ledgers_of(here: MemoryLedgers, place: LedgerPlace) -> LedgerStore:
    return await asyncio.to_thread(_in_dynamodb, place) if place.table else here


def _in_dynamodb(place: LedgerPlace) -> LedgerStore:
    """In a thread: boto3 takes a second and more on a busy machine, in which the Lease would not be renewed."""
    from controller.queue_share.stores.dynamodb import DynamoLedgers  # noqa: PLC0415 - and 20 MiB that most have no use for

    return DynamoLedgers(place.table, place.region)


async def run(settings: Settings, feed: Feed) -> None:
    """Stands by, leads, and lets go. Raises LeaseLostError, KindsGoneError, KubeError; also in groups."""
    kube = await KubeClient.connect()
    try:
        operator = await Operator.assemble(
            kube,
            settings.namespace,
            source_networks=settings.source_networks,
            sinks=settings.sinks,
            network_s=settings.network_s,
        )
        async with _endpoints(operator, settings):
            await until_served(kube, settings.only, operator.event_router.resources)
            operator.ready = True
            lease = Lease(
                kube, settings.namespace, LEASE_NAME, settings.identity, pod=settings.pod, duration_s=settings.lease_s
            )
            await lead(operator, lease, settings, feed)
    finally:
        await kube.close()


@contextlib.asynccontextmanager
async def _endpoints(operator: Operator, settings: Settings) -> AsyncIterator[None]:
    """What tenants call has a port of its own: whatever they do to it, probes are answered."""
    kube = operator.kube
    callers = Callers(kube)
    shares = ShareApi(
        operator.ledgers,
        leads=lambda: operator.leads,
        caller_of=callers.caller,
        may_report=Reporters(kube).may_report,
        clock=kube.clock.now,
    )
    alerts = AlertApi(
        operator.alerts,
        leads=lambda: operator.leads,
        caller_of=callers.caller,
        may_send=Reporters(kube, SUBRESOURCE).may_report,
        clock=kube.clock.now,
    )
    async with (
        serve(
            operator.telemetry,
            settings.address,
            settings.port,
            queues=operator.liveness,
            ready=lambda: operator.ready,
        ),
        listening([*shares.routes(), *alerts.routes()], settings.address, settings.ledger_port, most=_MOST_WORKERS),
    ):
        yield


async def lead(operator: Operator, lease: Lease, settings: Settings, feed: Feed) -> None:
    """Stands by until this process leads, and works as long as it does. Raises LeaseLostError in a group."""
    async with leading(lease, operator.telemetry):
        operator.kube.may_write = operator.allocators.may_write = operator.outbox.may_act = lease.is_fresh
        operator.allocators.term = lease.term
        operator.leads = True
        try:
            await operator.run(settings, feed)
        finally:
            operator.leads = False


def _emit_lost(events: Events, key: Key, message: str) -> None:
    """On a Release that is gone, so without its UID."""
    metadata = {"namespace": key.namespace, "name": key.name, "uid": ""}
    gone = {"apiVersion": RELEASES.api_version, "kind": RELEASES.kind, "metadata": metadata}
    events.emit(gone, LOST, message, warning=True)
