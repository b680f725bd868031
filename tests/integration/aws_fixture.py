"""SQS, DynamoDB and S3 of this machine, started once a session, and fresh queues, tables and a bucket for a test."""

from collections.abc import AsyncIterator, Iterator

import pytest

from hack.node.aws import LocalAws
from tests.image_jobs import Jobs
from tests.share_operator import make_table


@pytest.fixture(scope="session")
def local_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with LocalAws(tmp_path_factory.mktemp("aws")) as aws, pytest.MonkeyPatch.context() as patch:
        for name, value in aws.environment.items():
            patch.setenv(name, value)
        yield aws


@pytest.fixture
async def jobs(local_aws: LocalAws) -> AsyncIterator[Jobs]:
    async with Jobs.open() as jobs:
        yield jobs


_tables = iter(range(10**6))


@pytest.fixture
def ledger_table(local_aws: LocalAws) -> str:
    """A table of share ledgers, of its own for each test."""
    name = f"shares-{next(_tables)}"
    make_table(name)
    return name
