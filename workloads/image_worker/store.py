"""Uploads so that there is one object for a job: only where there is none yet, and with the job's id on it."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from botocore.exceptions import ClientError

from workloads.common.attempt import RefusedError
from workloads.common.aws import Aws, patiently, status
from workloads.image_worker.kinds.ingest import MOST_BYTES

_GONE = 404
_CONFLICT = 409
_EXISTS = 412


class TakenError(RefusedError):
    """Another job's object has this job's name. Nothing mends that but a person."""


class ConflictError(Exception):
    """Others write the same object at this moment."""


@dataclass(frozen=True, slots=True)
class Stored:
    key: str
    metadata: Mapping[str, str]
    """As it stands at the object: another attempt may have put it there before."""
    adopted: bool


class Store:
    """`patience` is how long an outage of S3 is waited through, in seconds."""

    def __init__(self, aws: Aws, bucket: str, *, patience: float) -> None:
        self._aws = aws
        self._bucket = bucket
        self._patience = patience

    async def put(
        self, key: str, data: bytes, *, content_type: str, job_id: str, metadata: Mapping[str, str]
    ) -> Stored:
        """Raises TakenError, OutageError, ConflictError after some tries."""
        for _ in range(5):
            mine = {"job-id": job_id, **metadata}
            try:
                await self._put(key, data, content_type, mine)
            except ClientError as problem:
                if status(problem) == _CONFLICT:  # "try again", says S3
                    continue
                if status(problem) != _EXISTS:
                    raise
                there = await self._metadata(key)
                if there is None:  # deleted since
                    continue
                if there.get("job-id") != job_id:
                    raise TakenError(
                        f"{key} belongs to job {there.get('job-id', 'unknown')!r}: job ids must be unique"
                    ) from None
                return Stored(key, there, adopted=True)
            return Stored(key, mine, adopted=False)
        raise ConflictError(f"{key} is written by others all the time")

    async def get(self, key: str) -> bytes:
        """Raises RefusedError for what is too large, ClientError 404 for what is not there."""

        async def get() -> bytes:
            answer = await self._aws.call(self._aws.s3.get_object, Bucket=self._bucket, Key=key)
            with answer["Body"] as body:
                if answer["ContentLength"] > MOST_BYTES:
                    raise RefusedError(f"{key} has {answer['ContentLength']} bytes, over {MOST_BYTES}")
                data: bytes = await self._aws.call(body.read)
                return data

        return await patiently(get, seconds=self._patience)

    async def _put(self, key: str, data: bytes, content_type: str, metadata: Mapping[str, str]) -> None:
        checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()

        async def put() -> None:
            await self._aws.call(
                self._aws.s3.put_object,
                Bucket=self._bucket,
                Key=key,
                Body=data,
                ContentType=content_type,
                ChecksumSHA256=checksum,
                Metadata=dict(metadata),
                **self._condition(),
            )

        await patiently(put, seconds=self._patience)

    def _condition(self) -> dict[str, str]:
        return {"IfNoneMatch": "*"}

    async def _metadata(self, key: str) -> Mapping[str, str] | None:
        async def head() -> Mapping[str, str]:
            answer = await self._aws.call(self._aws.s3.head_object, Bucket=self._bucket, Key=key)
            metadata: Mapping[str, str] = answer["Metadata"]
            return metadata

        try:
            return await patiently(head, seconds=self._patience)
        except ClientError as problem:
            if status(problem) == _GONE:
                return None
            raise
