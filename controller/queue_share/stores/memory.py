"""Ledgers in the operator's own memory, for consumers that report over HTTP.

Losing it loses nothing: running totals are reported again, the share is set again by the next pass over its Release,
and what is reckoned from then on never gives the canary more than its part of what is claimed from then on.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from controller.queue_share.ledger import Ledger
from controller.queue_share.ports import FORGOTTEN_S, MOST_CONSUMERS, Report, Stored


@dataclass
class _Book:
    stored: Stored
    reports: OrderedDict[str, tuple[Report, float]] = field(default_factory=OrderedDict)
    """With the moment of each, the oldest first."""

    def forget_before(self, moment: float) -> None:
        while self.reports and next(iter(self.reports.values()))[1] < moment:
            self.reports.popitem(last=False)


class MemoryLedgers:
    """Fulfils `ports.LedgerStore`."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._books: dict[str, _Book] = {}

    async def read(self, service: str) -> Stored | None:
        book = self._books.get(service)
        return None if book is None else book.stored

    async def reports(self, service: str) -> Sequence[Report]:
        book = self._books.get(service)
        if book is None:
            return ()
        book.forget_before(self._monotonic() - FORGOTTEN_S)
        return tuple(report for report, _ in book.reports.values())

    async def write(self, service: str, ledger: Ledger, *, over: int, term: int) -> bool:
        """`term` does not matter: the memory is that of the process that leads."""
        del term
        book = self._books.get(service)
        if over != (0 if book is None else book.stored.version):
            return False
        if book is None:
            self._books[service] = _Book(Stored(ledger, 1))
        else:
            book.stored = Stored(ledger, over + 1)
        return True

    def forget(self, service: str) -> None:
        self._books.pop(service, None)

    async def close(self) -> None:
        self._books.clear()

    def take(self, service: str, report: Report) -> bool:
        """What a consumer reports of itself; False where there are too many consumers. An older report than the known
        one changes nothing, and so does one for a ledger that does not exist.
        """
        book = self._books.get(service)
        if book is None:
            return True
        now = self._monotonic()
        known = book.reports.get(report.consumer)
        if known is None and len(book.reports) >= MOST_CONSUMERS:
            book.forget_before(now - FORGOTTEN_S)
            if len(book.reports) >= MOST_CONSUMERS:
                return False
        if known is None or known[0].seq < report.seq:
            book.reports[report.consumer] = (report, now)
            book.reports.move_to_end(report.consumer)
        return True
