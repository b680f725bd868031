"""Whether queue and table answer, and the queue's redrive policy leaves the counting of attempts to the worker."""

import json
import logging

from workloads.common.aws import Aws
from workloads.common.job_row import typed
from workloads.common.job_settings import JobSettings
from workloads.common.provisioning import SPARE_RECEIVES

log = logging.getLogger(__name__)


async def reach(aws: Aws, settings: JobSettings) -> None:
    """Raises what boto3 raises."""
    queue = await aws.call(aws.sqs.get_queue_attributes, QueueUrl=settings.queue, AttributeNames=["RedrivePolicy"])
    await aws.call(aws.dynamodb.get_item, TableName=settings.table, Key=typed({"job_id": "-"}))
    policy = json.loads(queue.get("Attributes", {}).get("RedrivePolicy", "{}"))
    receives, enough = int(policy.get("maxReceiveCount", 0)), settings.rules.max_attempts + SPARE_RECEIVES
    if receives < enough:
        log.warning(
            "the queue's redrive policy takes messages away before the worker has tried often enough",
            extra={"fields": {"maxReceiveCount": receives, "at_least": enough}},
        )
