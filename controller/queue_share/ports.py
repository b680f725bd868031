"""What the allocator and the router `queue` need of a store, and what a consumer reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from controller.ports import RouterError
from controller.queue_share.ledger import MOST_CLAIMS, Ledger, Pod

MOST_CONSUMERS = 2_000
"""Of one ledger. Two running totals for each of them stay within the 400 KB of an item in DynamoDB."""
FORGOTTEN_S = 600.0
"""After so long without a report a consumer is gone: it reports every two seconds, and begins under a new name."""
MOST_NAME = 300


class LedgerAwayError(RouterError):
    """The ledger did not answer, or cannot be read. The canary stops by itself, and stable goes on."""


@dataclass(frozen=True)
class Report:
    """What a consumer has written of itself. `claims` is a running total, `waiting` what its open polls have been
    waiting for, `seq` rises with each report.
    """

    consumer: str
    revision: str
    claims: int
    seq: int
    waiting: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError: consumers write reports, so nothing in them is taken on trust."""
        if not self.consumer or len(self.consumer) > MOST_NAME:
            raise ValueError(f"consumer: {len(self.consumer)} characters, maximum is {MOST_NAME}")
        if not isinstance(self.revision, str) or not self.revision or len(self.revision) > MOST_NAME:
            raise ValueError(f"revision: {self.revision!r:.40} is not the name of a revision, such as 7d9f8c6b54")
        for name, number in (("claims", self.claims), ("seq", self.seq), ("waiting", self.waiting)):
            if type(number) is not int or not 0 <= number <= MOST_CLAIMS:
                raise ValueError(f"{name}: {_shown(number)} is not a whole number between 0 and 2^53")


def _shown(number: object) -> str:
    """Of a number with thousands of digits Python writes none."""
    return "a number with many digits" if isinstance(number, int) and number > MOST_CLAIMS else f"{number!r:.40}"


@dataclass(frozen=True)
class Stored:
    ledger: Ledger
    version: int
    """1 and up: a write is made over the version that was read, or refused."""


class LedgerStore(Protocol):
    """Where ledgers lie. `service` is NAMESPACE/NAME. Everything asynchronous raises LedgerAwayError."""

    async def read(self, service: str) -> Stored | None: ...

    async def reports(self, service: str) -> Sequence[Report]: ...

    async def write(self, service: str, ledger: Ledger, *, over: int, term: int) -> bool:
        """False where the version is no longer `over` (0: none), or a later leader (`term`) has written."""
        ...

    def forget(self, service: str) -> None:
        """The Release is gone: this process keeps nothing of its ledger."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True)
class LedgerPlace:
    """Which ledger: the table it lies in, or the operator's own memory where that is empty."""

    service: str
    table: str = ""
    region: str = ""


Change = Callable[[Ledger | None, Mapping[str, Pod], float], Ledger]
"""What a ledger becomes, given what consumers have claimed and the time (epoch seconds). It may be called again."""
