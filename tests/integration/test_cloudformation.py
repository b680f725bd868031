"""The workloads' CloudFormation templates, made into stacks: what comes out is what the programs expect to find."""

import uuid
from pathlib import Path
from typing import Any

import boto3
import pytest

from workloads.common.aws import Aws
from workloads.image_worker.provision import provision, remove

pytest_plugins = ["tests.integration.aws_fixture"]

WORKLOADS = Path(__file__).resolve().parents[2] / "workloads"
KEPT = {"KeySchema", "AttributeDefinitions", "BillingModeSummary"}


def stack(folder: str, name: str) -> dict[str, str]:
    """Its outputs, by the name of the setting that they are for."""
    cloud = boto3.client("cloudformation")
    given = {"Name": name, "Namespace": "shop", "OidcProvider": "oidc.example.com/id/A", "AlarmTopic": ""}
    cloud.create_stack(
        StackName=name,
        TemplateBody=(WORKLOADS / folder / "cloudformation.yaml").read_text(),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    cloud.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    (found,) = cloud.describe_stacks(StackName=name)["Stacks"]
    return {each["Description"]: each["OutputValue"] for each in found["Outputs"]}


def described(table: str) -> dict[str, Any]:
    """The local AWS makes no TTL of a template; the unit test reads it."""
    found = boto3.client("dynamodb").describe_table(TableName=table)["Table"]
    return {key: found[key] for key in KEPT & set(found)}


def attributes(url: str) -> dict[str, str]:
    found: dict[str, str] = boto3.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return found


@pytest.mark.parametrize(("folder", "tries"), [("image_worker", 11), ("invitations", 10)])
async def test_a_stack_has_the_tables_and_queues_that_setup_makes(local_aws: object, folder: str, tries: int) -> None:
    del local_aws
    name = f"s{uuid.uuid4().hex[:10]}"
    made = stack(folder, name)
    async with Aws() as aws:
        places = await provision(aws, f"{name}-dev", max_attempts=tries - 5, visibility_s=60)
        try:
            assert described(made["JOBS_TABLE"]) == described(places.jobs)
            if folder == "image_worker":
                assert described(made["NEAR_TABLE"]) == described(places.near)
                assert boto3.client("s3").head_bucket(Bucket=made["BUCKET"])
            ours, theirs = attributes(made["QUEUE_URL"]), attributes(places.queue)
            assert ours["VisibilityTimeout"] == theirs["VisibilityTimeout"]
            assert f'"maxReceiveCount": "{tries}"' in theirs["RedrivePolicy"]
            assert str(tries) in ours["RedrivePolicy"]
            dead = attributes(made["DEAD_LETTER_QUEUE_URL"])
            assert dead["QueueArn"] in ours["RedrivePolicy"]
            assert dead["MessageRetentionPeriod"] == "1209600", "as long as there may be"
        finally:
            await remove(aws, places)
    alarms = boto3.client("cloudwatch").describe_alarms(AlarmNamePrefix=name)["MetricAlarms"]
    assert {each["AlarmName"] for each in alarms} == {f"{name}-dead-letters", f"{name}-waits"}
    boto3.client("cloudformation").delete_stack(StackName=name)
