"""The worker, put together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from workloads.common.attempt import Work
from workloads.common.aws import Aws
from workloads.common.gate import Gate
from workloads.common.job_row import typed
from workloads.common.job_service import serve_jobs
from workloads.common.job_table import JobTable
from workloads.common.stages import Observer, unobserved
from workloads.common.tracing import Tracing
from workloads.image_worker.faults import Misfortune
from workloads.image_worker.near import NearImages
from workloads.image_worker.renderer import Renderer
from workloads.image_worker.settings import Settings
from workloads.image_worker.store import Store
from workloads.image_worker.work import ImageWork


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
    jobs, places = settings.jobs, settings.places

    @asynccontextmanager
    async def opened(aws: Aws, traces: Tracing) -> AsyncIterator[Work]:
        async with Renderer(settings.render, step=traces.step) as renderer:
            yield ImageWork(
                renderer=renderer,
                store=store(aws, places.bucket, patience=settings.patience),
                near=NearImages(aws, places.near, limit=settings.near_bits, keep=jobs.terms.keep),
                places=places,
                misfortune=Misfortune(settings.faults, settings.seed),
                revision=jobs.identity.revision,
                patience=settings.patience,
                observer=observer,
            )

    async def reach_more(aws: Aws) -> None:
        await aws.call(
            aws.dynamodb.query,
            TableName=places.near,
            KeyConditionExpression="band = :band",
            ExpressionAttributeValues=typed({":band": "-"}),
            Limit=1,
        )
        await aws.call(aws.s3.head_bucket, Bucket=places.bucket)

    await serve_jobs(jobs, opened, stop=stop, gate=gate, reach_more=reach_more, observer=observer, table=table)
