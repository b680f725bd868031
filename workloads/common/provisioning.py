"""Queues and tables as the claim library expects them, for development and tests; production has its own tooling."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from botocore.exceptions import ClientError

from workloads.common.aws import Aws

SPARE_RECEIVES = 5
"""The redrive policy's maxReceiveCount is MAX_ATTEMPTS and this: only a net below the consumer's own counting."""
_THERE = frozenset(
    {"ResourceInUseException", "BucketAlreadyOwnedByYou", "BucketAlreadyExists", "ValidationException"}
)  # fmt: skip


async def jobs(aws: Aws, name: str, *, max_attempts: int, visibility_s: int) -> dict[str, str]:
    """Queues and the table of jobs: their URLs and name, by the variables that workers and commands read."""
    made, buried = await queue(aws, name, max_attempts=max_attempts, visibility_s=visibility_s)
    await table(aws, f"{name}-jobs", "job_id")
    return {"QUEUE_URL": made, "DEAD_LETTER_QUEUE_URL": buried, "JOBS_TABLE": f"{name}-jobs"}


async def remove(aws: Aws, queues: Sequence[str], tables: Sequence[str]) -> None:
    """`queues` by their URLs, `tables` by their names, with all in them. Raises ClientError where one is missing."""
    for url in queues:
        await aws.call(aws.sqs.delete_queue, QueueUrl=url)
    for name in tables:
        await aws.call(aws.dynamodb.delete_table, TableName=name)


async def queue(aws: Aws, name: str, *, max_attempts: int, visibility_s: int) -> tuple[str, str]:
    """URLs of the queue and of its dead letter queue. What is there stays as it is."""
    buried = await _queue(aws, f"{name}-dead-letters", {"MessageRetentionPeriod": "1209600"})
    described = await aws.call(aws.sqs.get_queue_attributes, QueueUrl=buried, AttributeNames=["QueueArn"])
    policy = {
        "deadLetterTargetArn": described["Attributes"]["QueueArn"],
        "maxReceiveCount": str(max_attempts + SPARE_RECEIVES),
    }
    attributes = {"RedrivePolicy": json.dumps(policy), "VisibilityTimeout": str(visibility_s)}
    return await _queue(aws, name, attributes), buried


async def table(aws: Aws, name: str, *keys: str) -> None:
    """`keys`: of the partition, and of the order in it. Rows end at their `purge_at`."""
    await unless_there(
        aws,
        aws.dynamodb.create_table,
        TableName=name,
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)],
        BillingMode="PAY_PER_REQUEST",
    )
    await aws.call(aws.dynamodb.get_waiter("table_exists").wait, TableName=name)
    await unless_there(  # said twice, DynamoDB calls it invalid
        aws,
        aws.dynamodb.update_time_to_live,
        TableName=name,
        TimeToLiveSpecification={"Enabled": True, "AttributeName": "purge_at"},
    )


async def unless_there(aws: Aws, make: Callable[..., Any], **arguments: Any) -> None:
    try:
        await aws.call(make, **arguments)
    except ClientError as problem:
        if problem.response["Error"]["Code"] not in _THERE:
            raise


async def _queue(aws: Aws, name: str, attributes: dict[str, str]) -> str:
    made = await aws.call(aws.sqs.create_queue, QueueName=name, Attributes=attributes)
    return str(made["QueueUrl"])
