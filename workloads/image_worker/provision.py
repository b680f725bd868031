"""Queues, tables and bucket as the worker expects them, for development and tests; production has its own tooling."""

import asyncio

from workloads.common import provisioning
from workloads.common.aws import Aws
from workloads.image_worker.settings import Places


async def provision(aws: Aws, name: str, *, max_attempts: int, visibility_s: int) -> Places:
    """Makes what is missing, under names that begin with `name`; what is there stays as it is."""
    queue, buried = await provisioning.queue(aws, name, max_attempts=max_attempts, visibility_s=visibility_s)
    places = Places(queue, buried, f"{name}-jobs", f"{name}-near", name)
    await provisioning.table(aws, places.jobs, "job_id")
    await provisioning.table(aws, places.near, "band", "hash")
    region = aws.s3.meta.region_name
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    await provisioning.unless_there(aws, aws.s3.create_bucket, Bucket=places.bucket, **where)
    return places


async def remove(aws: Aws, places: Places) -> None:
    """Takes away what `provision` made, with all that is in it."""
    pages = aws.s3.get_paginator("list_object_versions").paginate(Bucket=places.bucket)
    for page in await asyncio.to_thread(lambda: list(pages)):
        found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        if found:
            objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]
            await aws.call(aws.s3.delete_objects, Bucket=places.bucket, Delete={"Objects": objects, "Quiet": True})
    await aws.call(aws.s3.delete_bucket, Bucket=places.bucket)
    await provisioning.remove(aws, (places.queue, places.dead_letters), (places.jobs, places.near))
