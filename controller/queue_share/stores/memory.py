"""Ledgers in the operator's own memory, for consumers that report over HTTP.

Nothing is lost by losing it: running totals are told again, the share is set again by the next pass over its Release,
and what is reckoned from then on never gives the canary more than its part of what is claimed from then on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from controller.ports import Report, Stored
from controller.queue_share.ledger import Ledger


@dataclass
class _Book:
    stored: Stored | None = None
    reports: dict[str, Report] = field(default_factory=dict)


class MemoryLedgers:
    """Fulfils `ports.LedgerStore`."""

    def __init__(self) -> None:
        self._books: dict[str, _Book] = {}

    async def read(self, service: str) -> Stored | None:
        book = self._books.get(service)
        return None if book is None else book.stored

    async def reports(self, service: str) -> Sequence[Report]:
        book = self._books.get(service)
        return () if book is None else tuple(book.reports.values())

    async def write(self, service: str, ledger: Ledger, *, over: int, term: int) -> bool:
        """`term` is nothing to it: it lies in the process that leads."""
        del term
        book = self._books.setdefault(service, _Book())
        version = 0 if book.stored is None else book.stored.version
        if version != over:
            return False
        book.stored = Stored(ledger, version + 1)
        return True

    async def close(self) -> None:
        self._books.clear()

    def take(self, service: str, report: Report) -> bool:
        """What a consumer says of itself; False where there is no ledger for it. What is older than known is nothing
        new.
        """
        book = self._books.get(service)
        if book is None:
            return False
        known = book.reports.get(report.consumer)
        if known is None or known.seq < report.seq:
            book.reports[report.consumer] = report
        return True

    def forget(self, service: str, consumers: Sequence[str]) -> None:
        """Who is gone for good."""
        book = self._books.get(service)
        if book is not None:
            for consumer in consumers:
                book.reports.pop(consumer, None)
