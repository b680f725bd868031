"""SQS, DynamoDB and S3 for tests: ministack, which speaks their protocols."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from hack.node.aws import LocalAws


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    """One for a session. Programs are given `environment`; in this process it stands in os.environ."""
    directory: Path = tmp_path_factory.mktemp("aws")
    with LocalAws(directory) as aws, pytest.MonkeyPatch.context() as patch:
        for name, value in aws.environment.items():
            patch.setenv(name, value)
        yield aws


_tables = iter(range(10**6))


@pytest.fixture
def ledger_table(aws: LocalAws) -> str:
    """A table of share ledgers, of its own for each test."""
    name = f"shares-{next(_tables)}"
    boto3.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "service", "KeyType": "HASH"}, {"AttributeName": "item", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "service", "AttributeType": "S"},
            {"AttributeName": "item", "AttributeType": "S"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    return name
