"""`queue`: the share of a queue's messages, for workers that compete for them.

Nobody routes there, so the share is kept by credits: see queue_share/ledger.py. Where the ledger lies says how workers
get at it: in a DynamoDB table, or over HTTP at the operator.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from controller.api.fields import Absent, field, record
from controller.api.resources import Resource, Rule
from controller.api.shapes import Record, Text
from controller.ports import RoutedService, RouterContext, RouterSigns, Weights
from controller.queue_share.allocator import Allocators
from controller.queue_share.ledger import Wanted, on_trial_at, shares_of, towards
from controller.queue_share.ports import LedgerPlace
from controller.rollout.sizing import Sizing

KIND = "queue"
SIZING = Sizing.BY_CLAIMS
WATCHES: tuple[Resource, ...] = ()
RULES: tuple[Rule, ...] = ()
EXAMPLE = {"ledger": {"dynamodb": {"table": "pointsman-shares", "region": "eu-central-1"}}}


@record()
class DynamoDB:
    table: str = field(Text(1024, 3), "Its name, or its ARN.")
    region: str = field(Text(32, 1), "Region of the table. Default: the operator's.", default=Absent(""))


@record()
class Http:
    pass


@record(exactly_one=True)
class Ledger:
    dynamodb: DynamoDB | None = field(
        Record(DynamoDB), "A table that the operator and the workers can read and write.", default=Absent()
    )
    http: Http | None = field(
        Record(Http), "The operator keeps it, and workers report to it at /v1/ledger.", default=Absent()
    )


@record("By the share of a queue's messages, which workers claim with credits from a ledger.")
class Config:
    needs_ports: ClassVar[bool] = False
    """A worker has no callers."""

    ledger: Ledger = field(Record(Ledger), "Where the ledger is stored.")

    @property
    def table(self) -> str:
        return "" if self.ledger.dynamodb is None else self.ledger.dynamodb.table

    @property
    def region(self) -> str:
        return "" if self.ledger.dynamodb is None else self.ledger.dynamodb.region


def create(config: Config | None, target: RoutedService, context: RouterContext) -> QueueRouter:
    return QueueRouter(config, target, context.service(Allocators))


class QueueRouter:
    def __init__(self, config: Config | None, target: RoutedService, ledgers: Allocators) -> None:
        self._service = f"{target.namespace}/{target.name}"
        self._ledgers = ledgers
        self._place = ledgers.place_of(self._service)
        if config is not None:
            self._place = LedgerPlace(self._service, config.table, config.region)

    async def observe(self) -> Weights | None:
        if self._place is None:
            return None  # left, and another process allocated: the credits of that one last for seconds
        ledger = await self._ledgers.read(self._place)
        if ledger is None:
            return None
        unused = self._ledgers.unused_credits_s(self._place)
        signs = RouterSigns(unused_credits_s=unused, on_trial=on_trial_at(ledger, self._ledgers.now))
        return Weights(shares_of(ledger), signs=signs)

    async def ensure(self, weights: Weights) -> bool:
        if self._place is None:
            return False
        wanted = Wanted(weights.shares, weights.stable, hard_stop=weights.hard_stop, on_trial=weights.on_trial)
        return await self._ledgers.change(self._place, partial(towards, wanted))

    async def reset(self, stable: str) -> None:
        """The ledger gives everything to stable, which consumers that still run can read, and no credits are made."""
        if self._place is None:
            return
        if await self._ledgers.read(self._place) is not None:
            await self.ensure(Weights({stable: 100.0}, stable=stable))
        self._ledgers.leave(self._service)
