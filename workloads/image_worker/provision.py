"""Queues, tables and bucket as the worker expects them, for development and tests; production has its own tooling."""

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
