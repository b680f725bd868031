"""Ledgers in a DynamoDB table, which consumers read and write without the operator.

One table for all services: partition key `service`, sort key `item`. The ledger is the item `control`; each consumer
writes one of its own, `pod#NAME`. What the items hold is told to consumers in workloads/common/SHARE.md.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from controller.ports import LedgerAwayError, Report, Stored
from controller.queue_share.ledger import Ledger

_THREADS = 8
_CONTROL = {"S": "control"}
_CONFIG = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 3, "mode": "standard"})
"""Three tries stay well below the life of a credit."""
_NEVER = {"ConditionalCheckFailedException"}

Item = Mapping[str, Any]


class DynamoLedgers:
    """Fulfils `ports.LedgerStore`. Credentials come from where AWS's own tools find them."""

    def __init__(self, table: str, region: str = "", *, wall: Callable[[], float] = time.time) -> None:
        """Raises LedgerAwayError where AWS cannot be asked at all: without a region, for one."""
        self._table = table
        self._wall = wall
        try:
            self._client = boto3.client("dynamodb", region_name=region or None, config=_CONFIG)
        except (BotoCoreError, ValueError) as error:
            raise self._away(error) from error
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="ledger")

    async def read(self, service: str) -> Stored | None:
        key = {"service": {"S": service}, "item": _CONTROL}
        answer = await self._ask(self._client.get_item, TableName=self._table, Key=key, ConsistentRead=True)
        item = answer.get("Item")
        return None if item is None else Stored(_ledger_of(item), int(item["version"]["N"]))

    async def reports(self, service: str) -> Sequence[Report]:
        found: list[Report] = []
        page: dict[str, Any] = {}
        while True:
            answer = await self._ask(
                self._client.query,
                TableName=self._table,
                KeyConditionExpression="service = :service AND begins_with(#item, :pod)",
                ExpressionAttributeNames={"#item": "item"},
                ExpressionAttributeValues={":service": {"S": service}, ":pod": {"S": "pod#"}},
                ConsistentRead=True,
                **page,
            )
            # DynamoDB takes up to two days to remove what has expired
            found += [_report_of(item) for item in answer["Items"] if _until(item) > self._wall()]
            if "LastEvaluatedKey" not in answer:
                return found
            page = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    async def write(self, service: str, ledger: Ledger, *, over: int, term: int) -> bool:
        condition = "attribute_not_exists(version)"
        values: dict[str, Any] = {}
        if over:
            condition = "version = :over AND (attribute_not_exists(term) OR term <= :term)"
            values = {"ExpressionAttributeValues": {":over": {"N": str(over)}, ":term": {"N": str(term)}}}
        item = {
            "service": {"S": service},
            "item": _CONTROL,
            "version": {"N": str(over + 1)},
            "term": {"N": str(term)},
            **_item_of(ledger),
        }
        try:
            await self._ask(
                self._client.put_item, TableName=self._table, Item=item, ConditionExpression=condition, **values
            )
        except _RefusedError:
            return False
        return True

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._client.close)

    async def _ask(self, call: Callable[..., Any], **arguments: Any) -> Any:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, lambda: call(**arguments))
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in _NEVER:
                raise _RefusedError from error
            raise self._away(error) from error
        except BotoCoreError as error:
            raise self._away(error) from error

    def _away(self, error: Exception) -> LedgerAwayError:
        return LedgerAwayError(f"the share ledger in DynamoDB table {self._table}: {error}")


class _RefusedError(Exception):
    """The condition of a write does not hold."""


def _ledger_of(item: Item) -> Ledger:
    return Ledger(
        stable=item["stable"]["S"],
        canary=item["canary"]["S"],
        draining=tuple(one["S"] for one in item["draining"]["L"]),
        share=float(item["share"]["N"]),
        epoch=int(item["epoch"]["N"]),
        min_epoch=int(item["min_epoch"]["N"]),
        expires_at=float(item["expires_at"]["N"]),
        counted=_totals(item["counted"]),
        pace=float(item["pace"]["N"]),
        carried=float(item["carried"]["N"]),
        granted=_totals(item["granted"]),
        unused=int(item["unused"]["N"]),
    )


def _item_of(ledger: Ledger) -> dict[str, Any]:
    return {
        "stable": {"S": ledger.stable},
        "canary": {"S": ledger.canary},
        "draining": {"L": [{"S": one} for one in ledger.draining]},
        "share": _number(ledger.share),
        "epoch": _number(ledger.epoch),
        "min_epoch": _number(ledger.min_epoch),
        "expires_at": _number(ledger.expires_at),
        "counted": _as_map(ledger.counted),
        "pace": _number(ledger.pace),
        "carried": _number(ledger.carried),
        "granted": _as_map(ledger.granted),
        "unused": _number(ledger.unused),
    }


def _report_of(item: Item) -> Report:
    return Report(
        consumer=item["item"]["S"].removeprefix("pod#"),
        revision=item["revision"]["S"],
        claims=int(item["claims"]["N"]),
        seq=int(item["seq"]["N"]),
        waiting=int(item.get("waiting", {"N": "0"})["N"]),
    )


def _until(item: Item) -> float:
    return float(item["purge_at"]["N"]) if "purge_at" in item else float("inf")


def _number(value: float) -> dict[str, str]:
    """DynamoDB keeps 38 digits, more than a float has."""
    return {"N": repr(value)}


def _totals(attribute: Item) -> dict[str, int]:
    return {name: int(value["N"]) for name, value in attribute["M"].items()}


def _as_map(totals: Mapping[str, int]) -> dict[str, Any]:
    return {"M": {name: {"N": str(total)} for name, total in totals.items()}}
