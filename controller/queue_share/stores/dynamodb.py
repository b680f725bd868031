"""Ledgers in a DynamoDB table, which consumers read and write without the operator.

One table for all services: partition key `service`, sort key `item`. The ledger is the item `control` of partition
`control#SERVICE`; each consumer writes one of its own, `pod#NAME` of partition SERVICE. IAM tells partitions apart and
not items, and a version on trial that may write the ledger could promote itself. What the items hold is in
workloads/common/SHARE.md.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, fields
from decimal import Decimal
from typing import Any

import boto3
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from controller.queue_share.ledger import Ledger
from controller.queue_share.ports import MOST_CONSUMERS, LedgerAwayError, Report, Stored

_LOG = logging.getLogger(__name__)
_AT_ONCE = 4
"""Requests of one table: one that hangs leaves threads to the others."""
_THREADS = ThreadPoolExecutor(32, thread_name_prefix="ledger")
"""Of all tables together."""
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
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._malformed: set[str] = set()
        """Services with consumers whose reports cannot be read: logged once each."""

    async def read(self, service: str) -> Stored | None:
        answer = await self._ask(
            self._client.get_item, TableName=self._table, Key=control_key(service), ConsistentRead=True
        )
        item = answer.get("Item")
        if item is None:
            return None
        try:
            return _stored_of(item)
        except _MALFORMED as error:
            raise LedgerAwayError(
                f"the share ledger in DynamoDB table {self._table} has a malformed control item for {service} "
                f"({type(error).__name__}: {error!s:.100}). Delete the item; Pointsman writes it anew."
            ) from error

    async def reports(self, service: str) -> Sequence[Report]:
        """Of the first MOST_CONSUMERS; those that come after them make no credits."""
        items: list[Item] = []
        page: dict[str, Any] = {}
        while len(items) < MOST_CONSUMERS:
            answer = await self._ask(
                self._client.query,
                TableName=self._table,
                KeyConditionExpression="service = :service AND begins_with(#item, :pod)",
                ExpressionAttributeNames={"#item": "item"},
                ExpressionAttributeValues={":service": {"S": service}, ":pod": {"S": "pod#"}},
                ConsistentRead=True,
                **page,
            )
            items += answer["Items"]
            if "LastEvaluatedKey" not in answer:
                break
            page = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
        return self._well_formed(service, items[:MOST_CONSUMERS])

    def _well_formed(self, service: str, items: Sequence[Item]) -> list[Report]:
        """A consumer whose report cannot be read is left out: it makes no credits, and gets none."""
        found: list[Report] = []
        problem = ""
        for item in items:
            try:
                # DynamoDB takes up to two days to remove what has expired
                if _until(item) > self._wall():
                    found.append(_report_of(item))
            except _MALFORMED as error:
                problem = f"{item['item'].get('S', '')!r:.80}: {type(error).__name__}: {error!s:.200}"
        if problem and service not in self._malformed:
            self._malformed.add(service)
            _LOG.warning("a consumer of %s has a malformed report, which is ignored: %s", service, problem)
        elif not problem:
            self._malformed.discard(service)
        return found

    async def write(self, service: str, ledger: Ledger, *, over: int, term: int) -> bool:
        condition = "attribute_not_exists(version)"
        values: dict[str, Any] = {}
        if over:
            condition = "version = :over AND (attribute_not_exists(term) OR term <= :term)"
            values = {"ExpressionAttributeValues": {":over": {"N": str(over)}, ":term": {"N": str(term)}}}
        item = {
            **control_key(service),
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

    def forget(self, service: str) -> None:
        """The item stays: workers that are left go on by it."""
        self._malformed.discard(service)

    async def close(self) -> None:
        await asyncio.to_thread(self._client.close)

    async def _ask(self, call: Callable[..., Any], **arguments: Any) -> Any:
        await self._turn.acquire()
        answer = _THREADS.submit(call, **arguments)
        # when its thread ends, which may be long after the caller has given up
        answer.add_done_callback(self._next_turn(asyncio.get_running_loop()))
        try:
            return await asyncio.wrap_future(answer)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in _NEVER:
                raise _RefusedError from error
            raise self._away(error) from error
        except BotoCoreError as error:
            raise self._away(error) from error

    def _next_turn(self, loop: asyncio.AbstractEventLoop) -> Callable[[object], None]:
        def release(_: object) -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._turn.release)

        return release

    def _away(self, error: Exception) -> LedgerAwayError:
        return LedgerAwayError(f"the share ledger in DynamoDB table {self._table}: {error}")


def control_key(service: str) -> dict[str, dict[str, str]]:
    """No service has such a name: a namespace has no `#`."""
    return {"service": {"S": f"control#{service}"}, "item": {"S": "control"}}


class _RefusedError(Exception):
    """The condition of a write does not hold."""


_MALFORMED = (ArithmeticError, AttributeError, KeyError, TypeError, ValueError)
"""What an item raises that another program has written."""
_KINDS = {field.name: field.type for field in fields(Ledger)}
_LATER = {"on_trial", "trial_until"}
"""An operator of 0.1.0 writes items without them."""
_TO_ITEM, _FROM_ITEM = TypeSerializer(), TypeDeserializer()


def _stored_of(item: Item) -> Stored:
    """Raises _MALFORMED."""
    names = [name for name in _KINDS if name in item or name not in _LATER]
    read = {name: _FROM_ITEM.deserialize(item[name]) for name in (*names, "version")}
    version = _whole(read.pop("version"))
    return Stored(Ledger(**{name: _READ[str(_KINDS[name])](value) for name, value in read.items()}), version)


def _item_of(ledger: Ledger) -> dict[str, Any]:
    return {name: _TO_ITEM.serialize(_as_decimals(value)) for name, value in asdict(ledger).items()}


def _as_decimals(value: Any) -> Any:
    """boto3 refuses floats; DynamoDB keeps 38 digits, more than a float has."""
    match value:
        case float():
            return Decimal(repr(value))
        case tuple():
            return list(value)
        case _:
            return value


def _report_of(item: Item) -> Report:
    """Raises _MALFORMED."""
    read = {name: _FROM_ITEM.deserialize(item[name]) for name in ("item", "revision", "claims", "seq")}
    waiting = _FROM_ITEM.deserialize(item.get("waiting", {"N": "0"}))
    return Report(
        consumer=_text(read["item"]).removeprefix("pod#"),
        revision=_text(read["revision"]),
        claims=_whole(read["claims"]),
        seq=_whole(read["seq"]),
        waiting=_whole(waiting),
    )


def _until(item: Item) -> float:
    return float(item["purge_at"]["N"]) if "purge_at" in item else float("inf")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is not a string")
    return value


def _whole(value: Any) -> int:
    """A number of DynamoDB may be 10^125, which as an int has as many digits."""
    if not isinstance(value, Decimal) or not -_LARGEST <= value <= _LARGEST or value != int(value):
        raise ValueError(f"{value!s:.40} is not a whole number up to 2^63")
    return int(value)


def _real(value: Any) -> float:
    if not isinstance(value, Decimal) or not -_LARGEST <= value <= _LARGEST:
        raise ValueError(f"{value!s:.40} is not a number up to 2^63")
    return float(value)


def _totals(value: Any) -> dict[str, int]:
    return {_text(name): _whole(total) for name, total in value.items()}


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_text(one) for one in value)


_LARGEST = 2**63
_READ: dict[str, Callable[[Any], Any]] = {
    "str": _text,
    "int": _whole,
    "float": _real,
    "tuple[str, ...]": _texts,
    "Mapping[str, int]": _totals,
}
"""By the annotation of a field of Ledger."""
