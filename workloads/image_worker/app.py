"""The worker, put together."""

import asyncio
import logging
import os
import time
from contextlib import AsyncExitStack

from workloads.common.attempts import Attempts
from workloads.common.aws import Aws, path_style
from workloads.common.consumer import Consumer
from workloads.common.emf import EmbeddedMetrics, write_each
from workloads.common.ending import restarted
from workloads.common.exporter import Exporter
from workloads.common.gate import Gate
from workloads.common.job_events import Watcher
from workloads.common.job_metrics import JobMetrics
from workloads.common.job_queue import JobQueue
from workloads.common.job_table import JobTable
from workloads.common.stages import Observer, unobserved
from workloads.common.tracing import tracing
from workloads.image_worker.faults import Misfortune
from workloads.image_worker.health import Health, listening
from workloads.image_worker.near import NearImages
from workloads.image_worker.preflight import until_reached
from workloads.image_worker.renderer import Renderer
from workloads.image_worker.settings import Settings
from workloads.image_worker.store import Store
from workloads.image_worker.work import ImageWork

log = logging.getLogger(__name__)


async def serve(
    settings: Settings,
    *,
    stop: asyncio.Event,
    gate: Gate,
    observer: Observer = unobserved,
    table: type[JobTable] = JobTable,
    store: type[Store] = Store,
) -> None:
    """Until `stop`, then drains. `table` and `store` are for experiments that leave a protection out."""
    places, rules, identity = settings.places, settings.rules, settings.identity
    async with AsyncExitStack() as stack:
        traces = tracing(os.environ, identity, queue=places.queue)
        stack.callback(traces.close)
        watchers = await _watchers(settings, stack)
        aws = await stack.enter_async_context(
            Aws(
                poll_s=settings.wait_s,
                calls=4 + 4 * settings.capacity.slots,
                path_style=path_style(os.environ),
                step=traces.step,
            )
        )
        renderer = await stack.enter_async_context(Renderer(settings.render, step=traces.step))
        queue = JobQueue(
            aws,
            places.queue,
            dead_letters=places.dead_letters,
            wait_s=settings.wait_s,
            visibility_s=round(rules.visibility),
            renew_after=rules.max_attempts + 2,
        )
        attempts = Attempts(
            queue=queue,
            table=table(aws, places.jobs, owner=settings.owner, revision=identity.revision, terms=settings.terms),
            work=ImageWork(
                renderer=renderer,
                store=store(aws, places.bucket, patience=settings.patience),
                near=NearImages(aws, places.near, limit=settings.near_bits, keep=settings.terms.keep),
                places=places,
                misfortune=Misfortune(settings.faults, settings.seed),
                revision=identity.revision,
                patience=settings.patience,
                observer=observer,
            ),
            gate=gate,
            rules=rules,
            watchers=watchers,
            around=traces.attempt,
            observer=observer,
        )
        consumer = Consumer(queue=queue, attempts=attempts, gate=gate, capacity=settings.capacity)
        health = Health(consumer, wait_s=settings.wait_s)
        port = await stack.enter_async_context(listening(health.app, settings.host, settings.port))
        log.info("starting", extra={"fields": {"port": port, "slots": settings.capacity.slots}})
        await until_reached(aws, settings, stop=stop)
        health.ready = not stop.is_set()
        log.info("consuming")
        async with asyncio.TaskGroup() as group:
            group.create_task(_unready(health, stop))
            await consumer.run(stop)
    log.info("stopped")


async def _unready(health: Health, stop: asyncio.Event) -> None:
    await stop.wait()
    health.ready = False


async def _watchers(settings: Settings, stack: AsyncExitStack) -> list[Watcher]:
    watchers: list[Watcher] = []
    telemetry = settings.telemetry
    if telemetry.url:
        metrics = JobMetrics(settings.identity)
        exporter = Exporter(
            url=telemetry.url,
            identity=settings.identity,
            sources=[lambda time_ns: metrics.take(now=time.monotonic(), time_ns=time_ns)],
            bucket=telemetry.bucket,
            token=telemetry.token,
        )
        await stack.enter_async_context(exporter)
        watchers.append(lambda event: metrics.note(event, now=time.monotonic()))
    if telemetry.emf_namespace:
        embedded = EmbeddedMetrics(settings.identity, telemetry.emf_namespace)
        ended = asyncio.Event()

        async def write() -> None:
            await write_each(telemetry.emf_seconds, embedded, now=time.time, ended=ended)

        writing = asyncio.create_task(restarted("the writing of embedded metrics", write))

        async def end() -> None:
            ended.set()
            await writing

        stack.push_async_callback(end)
        watchers.append(embedded.note)
    return watchers
