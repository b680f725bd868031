"""`queue`: the share of a queue's messages, for workers that compete for them.

Nobody routes there, so the share is kept by credits: see queue_share/ledger.py. Where the ledger lies says how workers
get at it: in a DynamoDB table, or over HTTP at the operator.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from controller.api.reading import Reader
from controller.ports import RoutedService, RouterContext, RouterSigns, Weights
from controller.queue_share.allocator import Allocators
from controller.queue_share.ledger import Wanted, shares_of, towards
from controller.queue_share.ports import LedgerPlace
from controller.rollout.sizing import Sizing

KIND = "queue"
SIZING = Sizing.BY_CLAIMS
WATCHES = ()
SCHEMA: dict[str, Any] = {
    "description": "The share of a queue's messages. Workers claim them by a ledger of credits.",
    "type": "object",
    "required": ["ledger"],
    "properties": {
        "ledger": {
            "description": "Where the ledger lies.",
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "properties": {
                "dynamodb": {
                    "description": "A table that the operator and the workers can read and write.",
                    "type": "object",
                    "required": ["table"],
                    "properties": {
                        "table": {
                            "description": "Its name, or its ARN.",
                            "type": "string",
                            "minLength": 3,
                            "maxLength": 1024,
                        },
                        "region": {
                            "description": "Of the table; default: the operator's.",
                            "type": "string",
                            "minLength": 1,
                            "maxLength": 32,
                        },
                    },
                },
                "http": {
                    "description": "The operator keeps it, and workers report to it at /v1/ledger.",
                    "type": "object",
                    "properties": {},
                },
            },
        },
    },
}
EXAMPLE = {"ledger": {"dynamodb": {"table": "pointsman-shares", "region": "eu-central-1"}}}


@dataclass(frozen=True)
class Config:
    needs_ports: ClassVar[bool] = False
    """Nobody calls a worker."""

    table: str = ""
    region: str = ""

    @classmethod
    def parse(cls, reader: Reader) -> Config:
        ledger = reader.only("ledger").child("ledger")
        kind = ledger.only("dynamodb", "http").one_of(("dynamodb", "http"))
        if kind == "http":
            ledger.child("http").only()
            return cls()
        dynamodb = ledger.child("dynamodb").only("table", "region")
        return cls(table=dynamodb.text("table"), region=dynamodb.text("region", ""))


def create(config: Config, target: RoutedService, context: RouterContext) -> QueueRouter:
    return QueueRouter(config, target, context.service(Allocators))


class QueueRouter:
    def __init__(self, config: Config, target: RoutedService, ledgers: Allocators) -> None:
        self._place = LedgerPlace(f"{target.namespace}/{target.name}", config.table, config.region)
        self._ledgers = ledgers

    async def observe(self) -> Weights | None:
        ledger = await self._ledgers.read(self._place)
        if ledger is None:
            return None
        signs = RouterSigns(unused_credits_s=self._ledgers.unused_credits_s(self._place))
        return Weights(shares_of(ledger), signs=signs)

    async def ensure(self, weights: Weights) -> bool:
        wanted = Wanted(weights.shares, weights.stable, hard_stop=weights.hard_stop)
        return await self._ledgers.change(self._place, partial(towards, wanted))
