"""A worker on the claim library, put together: whatever the work is."""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from botocore.exceptions import BotoCoreError, ClientError

from workloads.common.attempt import Work
from workloads.common.attempts import Attempts
from workloads.common.aws import Aws, path_style
from workloads.common.consumer import Consumer
from workloads.common.emf import EmbeddedMetrics, write_each
from workloads.common.ending import restarted
from workloads.common.exporter import Exporter
from workloads.common.gate import Gate
from workloads.common.job_events import Watcher
from workloads.common.job_health import Health, listening
from workloads.common.job_metrics import JobMetrics
from workloads.common.job_queue import JobQueue
from workloads.common.job_settings import JobSettings
from workloads.common.job_table import JobTable
from workloads.common.preflight import reach
from workloads.common.stages import Observer, unobserved
from workloads.common.tracing import Tracing, tracing

log = logging.getLogger(__name__)
_PAUSE_S = 2.0

Opened = Callable[[Aws, Tracing], AbstractAsyncContextManager[Work]]
"""The work, and what it has open for as long as the worker lives."""
Reach = Callable[[Aws], Awaitable[None]]


async def nothing_more(_: Aws) -> None:
    """Queue and table are all that is needed."""


async def serve_jobs(
    settings: JobSettings,
    opened: Opened,
    *,
    stop: asyncio.Event,
    gate: Gate,
    reach_more: Reach = nothing_more,
    observer: Observer = unobserved,
    table: type[JobTable] = JobTable,
) -> None:
    """Until `stop`, then drains. It takes no job before queue, table and what `reach_more` asks have answered.

    `table` is for experiments that leave a protection out.
    """
    rules, identity = settings.rules, settings.identity
    async with AsyncExitStack() as stack:
        traces = tracing(os.environ, identity, queue=settings.queue)
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
        queue = JobQueue(
            aws,
            settings.queue,
            dead_letters=settings.dead_letters,
            wait_s=settings.wait_s,
            visibility_s=round(rules.visibility),
            renew_after=rules.max_attempts + 2,
        )
        attempts = Attempts(
            queue=queue,
            table=table(aws, settings.table, owner=settings.owner, revision=identity.revision, terms=settings.terms),
            work=await stack.enter_async_context(opened(aws, traces)),
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
        await _until_reached(aws, settings, reach_more, stop=stop)
        health.ready = not stop.is_set()
        log.info("consuming")
        async with asyncio.TaskGroup() as group:
            group.create_task(_unready(health, stop))
            await consumer.run(stop)
    log.info("stopped")


async def _until_reached(aws: Aws, settings: JobSettings, reach_more: Reach, *, stop: asyncio.Event) -> None:
    """Tries until all answer or `stop`: a version that may not read its table must not become ready."""
    while not stop.is_set():
        try:
            await reach(aws, settings)
            await reach_more(aws)
        except (BotoCoreError, ClientError) as problem:
            log.warning("not ready: something cannot be reached", extra={"fields": {"why": str(problem)}})
        else:
            return
        try:
            async with asyncio.timeout(_PAUSE_S):
                await stop.wait()
        except TimeoutError:
            continue


async def _unready(health: Health, stop: asyncio.Event) -> None:
    await stop.wait()
    health.ready = False


async def _watchers(settings: JobSettings, stack: AsyncExitStack) -> list[Watcher]:
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
