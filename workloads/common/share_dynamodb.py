"""The share ledger in DynamoDB: `control` is read, in a partition of its own, and `pod#CONSUMER` is written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import boto3
from boto3.dynamodb.types import TypeDeserializer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from workloads.common.share_ledger import Consumer, Control, LedgerError, Report, parsed

KEPT_S = 3600
"""DynamoDB removes the item of a consumer that is gone an hour after its last report."""
_THREADS = 4
_CONFIG = Config(
    connect_timeout=1,
    read_timeout=1,
    retries={"mode": "standard", "total_max_attempts": 2},
    max_pool_connections=_THREADS,
)
_Found = TypeVar("_Found")


class DynamoLedger:
    """boto3 blocks, so it has threads of its own: a ledger that hangs must not take those of the jobs."""

    def __init__(self, table: str, who: Consumer, *, wall: Callable[[], float] = time.time) -> None:
        self._client: Any = boto3.client("dynamodb", config=_CONFIG)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="share-ledger")
        self._table, self._who, self._wall = table, who, wall

    async def report(self, report: Report) -> Control:
        await self._in_thread(lambda: self._write(report))
        return await self.read()

    async def read(self) -> Control:
        found = await self._in_thread(self._get)
        if found is None:
            raise LedgerError(f"table {self._table}: no control item for {self._who.service}; its operator writes one")
        return control_of(found, wall=self._wall())

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    async def _in_thread(self, call: Callable[[], _Found]) -> _Found:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except (BotoCoreError, ClientError) as problem:
            raise LedgerError(f"table {self._table}: {problem}") from problem

    def _write(self, report: Report) -> None:
        now = self._wall()
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"service": {"S": self._who.service}, "item": {"S": f"pod#{self._who.name}"}},
                UpdateExpression="SET revision = :revision, claims = :claims, returned = :returned, "
                "waiting = :waiting, seq = :seq, #at = :at, purge_at = :purge_at",
                ConditionExpression="attribute_not_exists(seq) OR seq < :seq",
                ExpressionAttributeNames={"#at": "at"},
                ExpressionAttributeValues={
                    ":revision": {"S": self._who.revision},
                    ":claims": {"N": str(report.claims)},
                    ":returned": {"N": str(report.returned)},
                    ":waiting": {"N": str(report.waiting)},
                    ":seq": {"N": str(report.seq)},
                    ":at": {"N": f"{now:.3f}"},
                    ":purge_at": {"N": str(int(now) + KEPT_S)},
                },
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return  # it has arrived before, and its answer was lost: nobody else writes under this name

    def _get(self) -> dict[str, Any] | None:
        answer = self._client.get_item(
            TableName=self._table,
            Key={"service": {"S": f"control#{self._who.service}"}, "item": {"S": "control"}},
            ConsistentRead=True,
        )
        item: dict[str, Any] | None = answer.get("Item")
        return item


def control_of(item: dict[str, Any], *, wall: float) -> Control:
    """Of the item as DynamoDB writes it. `wall`: this machine's epoch seconds. Raises LedgerError."""
    typed: Any = TypeDeserializer()
    try:
        found = {name: typed.deserialize(value) for name, value in item.items()}
        expires_in = float(found["expires_at"]) - wall
        trial_left = float(found.get("trial_until", 0)) - wall
    except (KeyError, TypeError, ValueError) as problem:
        raise LedgerError(f"the control item cannot be read: {type(problem).__name__} {problem}") from problem
    return parsed(found, min_epoch="min_epoch", expires_in=expires_in, trial_left=trial_left)
