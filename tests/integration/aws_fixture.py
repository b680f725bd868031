"""SQS, DynamoDB and S3 of this machine, started once a session, and fresh queues, tables and a bucket for a test.

Where AWS_ENDPOINT_URL is set and empty, and credentials are given, what needs no server of its own runs on AWS itself.
"""

import os
from collections.abc import AsyncIterator, Iterator

import pytest

from hack.node.aws import LocalAws
from tests.aws_account import on_aws_itself
from tests.image_jobs import Jobs
from workloads.common import provisioning
from workloads.common.aws import Aws


@pytest.fixture(scope="session")
def local_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with LocalAws(tmp_path_factory.mktemp("aws")) as aws, pytest.MonkeyPatch.context() as patch:
        for name, value in aws.environment.items():
            patch.setenv(name, value)
        yield aws


@pytest.fixture(scope="session")
def some_aws(request: pytest.FixtureRequest) -> None:
    """What boto3 finds is AWS, or speaks like it."""
    if not on_aws_itself():
        request.getfixturevalue("local_aws")


@pytest.fixture
async def jobs(some_aws: None) -> AsyncIterator[Jobs]:
    async with Jobs.open() as jobs:
        yield jobs


_tables = iter(range(10**6))


@pytest.fixture
async def ledger_table(some_aws: None) -> AsyncIterator[str]:
    """A table of share ledgers, of its own for each test."""
    name = f"pointsman-test-shares-{os.getpid()}-{next(_tables)}"
    async with Aws() as aws:
        await provisioning.table(aws, name, "service", "item")
        yield name
        await aws.call(aws.dynamodb.delete_table, TableName=name)
