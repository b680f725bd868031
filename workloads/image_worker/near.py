"""Earlier images that look like this one, found without a scan.

Two hashes that differ in at most d bits agree wholly in one of d + 1 bands of bits, as d differences cannot touch
d + 1 bands. So each hash has one item for each band, under the band's bits, and d + 1 queries find all that is near.

A hash that many images share (blank pages) has one owner, the first, and no more items than any
other. Another limit has other
bands: the table then fills anew, and finds only what came since.
"""

import asyncio
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from botocore.exceptions import ClientError

from workloads.common.aws import Aws, code
from workloads.common.backoff import spread_s
from workloads.common.job_row import typed
from workloads.image_worker.perceptual import BITS, distance

_MOST_PAGES = 5
_PAGE = 500
_REPORTED = 5
_TRIES = 5
_TAKEN = "ConditionalCheckFailed"


@dataclass(frozen=True, slots=True)
class Near:
    job_id: str
    distance: int


def bands(hash64: int, limit: int) -> list[str]:
    """limit + 1 keys; two hashes within `limit` have at least one in common."""
    number = limit + 1
    edges = [BITS * place // number for place in range(number + 1)]
    keys = []
    for place, (low, high) in enumerate(pairwise(edges)):
        bits = hash64 >> low & (1 << high - low) - 1
        keys.append(f"{number}.{place}#{bits:x}")
    return keys


class NearImages:
    """`keep` seconds after it came, an image is forgotten."""

    def __init__(self, aws: Aws, table: str, *, limit: int, keep: float) -> None:
        self._aws = aws
        self._table = table
        self._limit = limit
        self._keep = keep

    async def add(self, job_id: str, hash64: int, *, at: float) -> list[Near]:
        """Notes the image, and answers the nearest earlier ones. Once more for the same job changes nothing.

        Noted first and asked then, so that of two at the same time at least the later finds the other.
        """
        keys = bands(hash64, self._limit)
        mine = (await self._note(keys, hash64, job_id, at), job_id)
        found: dict[str, int] = {}
        for items in await asyncio.gather(*(self._ask(key) for key in keys)):
            for item in items:
                other, far = item["job_id"]["S"], distance(hash64, int(item["hash"]["S"], 16))
                if far <= self._limit and (int(item["at"]["N"]), other) < mine and other != job_id:
                    found[other] = far
        nearest = sorted(found.items(), key=lambda pair: (pair[1], pair[0]))[:_REPORTED]
        return [Near(other, far) for other, far in nearest]

    async def _note(self, keys: list[str], hash64: int, job_id: str, at: float) -> int:
        """When it was noted, in milliseconds: earlier than now where the job was here before.

        All bands or none, so that a hash has one owner; who comes second with the same hash notes nothing.
        """
        when = round(at * 1000)
        about = {"hash": f"{hash64:016x}", "job_id": job_id, "at": when, "purge_at": int(at + self._keep)}
        puts = [
            {
                "Put": {
                    "TableName": self._table,
                    "Item": typed({"band": key, **about}),
                    "ConditionExpression": "attribute_not_exists(band)",
                    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                }
            }
            for key in keys
        ]
        for _ in range(_TRIES):
            try:
                await self._aws.call(self._aws.dynamodb.transact_write_items, TransactItems=puts)
            except ClientError as problem:
                if code(problem) != "TransactionCanceledException":
                    raise
                reasons = problem.response.get("CancellationReasons", ())
                owners = [reason["Item"] for reason in reasons if reason.get("Code") == _TAKEN and "Item" in reason]
                if not owners:  # somebody notes the same hash at this moment
                    await asyncio.sleep(spread_s(0.1))
                    continue
                return int(owners[0]["at"]["N"]) if owners[0]["job_id"]["S"] == job_id else when
            return when
        return when  # the queries find it as the others do

    async def _ask(self, key: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        more: dict[str, Any] = {}
        for _ in range(_MOST_PAGES):
            answer = await self._aws.call(
                self._aws.dynamodb.query,
                TableName=self._table,
                KeyConditionExpression="band = :band",
                ExpressionAttributeValues=typed({":band": key}),
                ConsistentRead=True,
                Limit=_PAGE,
                **more,
            )
            found += answer["Items"]
            if "LastEvaluatedKey" not in answer:
                break
            more = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
        return found
