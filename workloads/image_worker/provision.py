"""Queues, tables and bucket as the worker expects them, for development and tests; production has its own tooling."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from workloads.common.aws import Aws
from workloads.image_worker.settings import SPARE_RECEIVES, Places

_THERE = frozenset(
    {"ResourceInUseException", "BucketAlreadyOwnedByYou", "BucketAlreadyExists", "ValidationException"}
)  # fmt: skip


async def provision(aws: Aws, name: str, *, max_attempts: int, visibility_s: int) -> Places:
    """Makes what is missing, under names that begin with `name`; what is there stays as it is."""
    buried = await _queue(aws, f"{name}-dead-letters", {"MessageRetentionPeriod": "1209600"})
    described = await aws.call(aws.sqs.get_queue_attributes, QueueUrl=buried, AttributeNames=["QueueArn"])
    policy = {
        "deadLetterTargetArn": described["Attributes"]["QueueArn"],
        "maxReceiveCount": str(max_attempts + SPARE_RECEIVES),
    }
    queue = await _queue(
        aws, name, {"RedrivePolicy": json.dumps(policy), "VisibilityTimeout": str(visibility_s)}
    )  # fmt: skip
    places = Places(queue, buried, f"{name}-jobs", f"{name}-near", name)
    await make_table(aws, places.jobs, "job_id")
    await make_table(aws, places.near, "band", "hash")
    region = aws.s3.meta.region_name
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    await _unless_there(aws, aws.s3.create_bucket, Bucket=places.bucket, **where)
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
    for queue in (places.queue, places.dead_letters):
        await aws.call(aws.sqs.delete_queue, QueueUrl=queue)
    for table in (places.jobs, places.near):
        await aws.call(aws.dynamodb.delete_table, TableName=table)


async def _queue(aws: Aws, name: str, attributes: dict[str, str]) -> str:
    made = await aws.call(aws.sqs.create_queue, QueueName=name, Attributes=attributes)
    return str(made["QueueUrl"])


async def make_table(aws: Aws, name: str, *keys: str) -> None:
    """`keys`: of the partition, and of the order in it. Rows end at their `purge_at`."""
    await _unless_there(
        aws,
        aws.dynamodb.create_table,
        TableName=name,
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)],
        BillingMode="PAY_PER_REQUEST",
    )
    await aws.call(aws.dynamodb.get_waiter("table_exists").wait, TableName=name)
    await _unless_there(  # said twice, DynamoDB calls it invalid
        aws,
        aws.dynamodb.update_time_to_live,
        TableName=name,
        TimeToLiveSpecification={"Enabled": True, "AttributeName": "purge_at"},
    )


async def _unless_there(aws: Aws, make: Callable[..., Any], **arguments: Any) -> None:
    try:
        await aws.call(make, **arguments)
    except ClientError as problem:
        if problem.response["Error"]["Code"] not in _THERE:
            raise
