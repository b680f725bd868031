"""What became of all jobs, read in full: for demonstrations and tests, not for a table that serves."""

import asyncio
from collections import Counter

from workloads.common.aws import Aws
from workloads.common.job_row import Row


async def rows(aws: Aws, table: str) -> dict[str, Row]:
    """By job id."""
    pages = aws.dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    items = await asyncio.to_thread(lambda: [item for page in pages for item in page["Items"]])
    return {row.job_id: row for row in map(Row.of, items)}


async def uploads(aws: Aws, bucket: str) -> Counter[str]:
    """How often each object was written. The bucket has to keep versions, or a second write would not show."""
    pages = aws.s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
    versions = await asyncio.to_thread(lambda: [each for page in pages for each in page.get("Versions", ())])
    return Counter(version["Key"] for version in versions)


async def keep_versions(aws: Aws, bucket: str) -> None:
    await aws.call(aws.s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
