"""An allocator around controller.core.ledger, with the items of the contract in DynamoDB: the operator in small."""

import asyncio
import time
from dataclasses import replace
from decimal import Decimal

import boto3
from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import ClientError

from controller.core import ledger as core
from controller.core.ledger import FRESH_S, Ledger, Pod

ROUND_S = 0.5
LASTS_S = 10.0
_NUMBERS = ("share", "expires_at", "pace", "carried")


def make_table(table: str) -> None:
    boto3.client("dynamodb").create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "service", "KeyType": "HASH"}, {"AttributeName": "item", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "service", "AttributeType": "S"},
            {"AttributeName": "item", "AttributeType": "S"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )


class Allocator:
    """Each method is one conditional write, tried again when another has written in between."""

    def __init__(self, table: str, service: str) -> None:
        self._table = boto3.resource("dynamodb").Table(table)
        self._service = service
        self._seen: dict[str, tuple[int, float]] = {}
        """By consumer, its last `seq` and when, by this clock, it changed."""

    def begin(self, stable: str) -> None:
        self._put(Ledger(stable=stable), version=1, unused=0)

    def set_share(self, canary: str, share: float) -> None:
        self._change(lambda ledger, pods: core.with_share(ledger, canary, share, pods, time.time() + LASTS_S))

    def roll_back(self, *, hard: bool = False) -> None:
        self._change(lambda ledger, _: core.rolled_back(ledger, hard=hard))

    def promote(self) -> None:
        self._change(lambda ledger, _: core.promoted(ledger))

    def allocate(self) -> None:
        def round_of(ledger, pods):
            # freshness is by this process's own clock, credits end at a time of day
            shifted = core.allocate(ledger, pods, time.monotonic(), LASTS_S)
            return replace(shifted, expires_at=time.time() + LASTS_S) if ledger.share > 0 else ledger

        self._change(round_of)

    async def rounds(self) -> None:
        while True:
            await asyncio.to_thread(self.allocate)
            await asyncio.sleep(ROUND_S)

    def read(self) -> dict:
        return dict(self._table.get_item(Key=self._key, ConsistentRead=True)["Item"])

    def pods(self) -> dict[str, dict]:
        found = self._table.query(
            KeyConditionExpression=Key("service").eq(self._service) & Key("item").begins_with("pod#"),
            ConsistentRead=True,
        )
        return {item["item"].removeprefix("pod#"): item for item in found["Items"]}

    @property
    def _key(self) -> dict[str, str]:
        return {"service": self._service, "item": "control"}

    def _change(self, change) -> None:
        for _ in range(5):
            before = self.read()
            items = self.pods()
            ledger = _ledger(before)
            after = change(ledger, self._pods(items))
            if after is ledger:
                return
            try:
                self._put(after, version=int(before["version"]) + 1, unused=self._unused(ledger, after, items))
            except ClientError as problem:
                if problem.response["Error"]["Code"] != "ConditionalCheckFailedException":
                    raise
            else:
                return
        raise AssertionError("the control item changed five times under the allocator")

    def _pods(self, items) -> dict[str, Pod]:
        now = time.monotonic()
        for name, item in items.items():
            seq = int(item["seq"])
            if self._seen.get(name, (0, 0.0))[0] != seq:
                self._seen[name] = (seq, now)
        return {name: Pod(item["revision"], int(item["claims"]), self._seen[name][1]) for name, item in items.items()}

    def _unused(self, before: Ledger, after: Ledger, items) -> int:
        """Messages that canary polls wait for, as far as they had credits before this round."""
        if after.share <= 0 or before.epoch != after.epoch:
            return 0
        now = time.monotonic()
        return sum(
            min(int(item.get("waiting", 0)), max(0, before.granted.get(name, 0) - int(item["claims"])))
            for name, item in items.items()
            if item["revision"] == after.canary and now - self._seen[name][1] <= FRESH_S
        )

    def _put(self, ledger: Ledger, *, version: int, unused: int) -> None:
        item = {name: getattr(ledger, name) for name in Ledger.__dataclass_fields__}
        item |= {name: Decimal(repr(float(item[name]))) for name in _NUMBERS}
        item |= {"draining": list(ledger.draining), "counted": dict(ledger.counted), "granted": dict(ledger.granted)}
        new = version == 1
        self._table.put_item(
            Item={**self._key, **item, "version": version, "unused": unused},
            ConditionExpression=Attr("version").not_exists() if new else Attr("version").eq(version - 1),
        )


def _ledger(item) -> Ledger:
    found = {name: item[name] for name in Ledger.__dataclass_fields__}
    found |= {name: float(found[name]) for name in _NUMBERS}
    found |= {name: int(found[name]) for name in ("epoch", "min_epoch")}
    found |= {name: {pod: int(total) for pod, total in found[name].items()} for name in ("counted", "granted")}
    return Ledger(**{**found, "draining": tuple(found["draining"])})
