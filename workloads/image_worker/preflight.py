"""Whether all that a worker needs can be reached: a version that may not read its table must not become ready."""

import asyncio
import json
import logging

from botocore.exceptions import BotoCoreError, ClientError

from workloads.common.aws import Aws
from workloads.common.job_row import typed
from workloads.common.provisioning import SPARE_RECEIVES
from workloads.image_worker.settings import Settings

log = logging.getLogger(__name__)
_PAUSE_S = 2.0


async def until_reached(aws: Aws, settings: Settings, *, stop: asyncio.Event) -> None:
    """Tries until all answer or `stop`."""
    while not stop.is_set():
        try:
            await _reach(aws, settings)
        except (BotoCoreError, ClientError) as problem:
            log.warning("not ready: something cannot be reached", extra={"fields": {"why": str(problem)}})
        else:
            return
        try:
            async with asyncio.timeout(_PAUSE_S):
                await stop.wait()
        except TimeoutError:
            continue


async def _reach(aws: Aws, settings: Settings) -> None:
    places = settings.places
    queue = await aws.call(aws.sqs.get_queue_attributes, QueueUrl=places.queue, AttributeNames=["RedrivePolicy"])
    nobody = typed({"job_id": "-"})
    await aws.call(aws.dynamodb.get_item, TableName=places.jobs, Key=nobody)
    await aws.call(
        aws.dynamodb.query,
        TableName=places.near,
        KeyConditionExpression="band = :band",
        ExpressionAttributeValues=typed({":band": "-"}),
        Limit=1,
    )
    await aws.call(aws.s3.head_bucket, Bucket=places.bucket)
    policy = json.loads(queue.get("Attributes", {}).get("RedrivePolicy", "{}"))
    receives, enough = int(policy.get("maxReceiveCount", 0)), settings.rules.max_attempts + SPARE_RECEIVES
    if receives < enough:
        log.warning(
            "the queue's redrive policy takes messages away before the worker has tried often enough",
            extra={"fields": {"maxReceiveCount": receives, "at_least": enough}},
        )
