"""The gate of a shared queue: a canary polls with a credit in hand, stable leaves it a message that it waits for.

Stable never waits for the ledger: one task reports and reads in the background, and its slots go by what that read
last. A canary slot reads for itself before each poll and after each message, because a rollback must end its claims
within half a second.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from workloads.common import share_rules as rules
from workloads.common.backoff import Pauses
from workloads.common.ending import end, restarted
from workloads.common.share_ledger import Consumer, Control, LedgerError, Report, ShareLedger
from workloads.common.share_rules import Answer, Pace, Standing

log = logging.getLogger(__name__)

UNSTOPPED = sys.maxsize
"""The epoch of what was taken without a credit: a hard rollback stops what the canary has taken, nothing else."""

_TICK_S = 0.01
"""Nothing here is due more exactly; a clock that is rounded down would make a loop of the last microsecond."""


class Share:
    """`async with Share(…) as gate`: reports inside, and once more at the end. Closes the ledger."""

    def __init__(
        self,
        ledger: ShareLedger,
        who: Consumer,
        *,
        pace: Pace | None = None,
        draw: Callable[[], float] = random.random,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`wall`: seconds since 1970, by which all of stable's consumers yield together."""
        self.claims = 0
        self.returned = 0
        self._ledger, self._who, self._wall = ledger, who, wall
        self._pace = pace or Pace()
        self._answer: Answer | None = None
        self._open: dict[_Credit, float] = {}
        """Polls that hold credits, and when they began."""
        self._turn = asyncio.Lock()
        self._pauses = Pauses(*self._pace.back_off, draw)
        self._yielding = 0
        self._news = asyncio.Event()
        """Set, and replaced, with each answer."""
        self._wake = asyncio.Event()
        self._seq = 0
        self._reported: Report | None = None
        self._lost = False
        self._tried_at = self._read_at = 0.0
        self._reachable = True

    async def __aenter__(self) -> Self:
        self._now = asyncio.get_running_loop().time
        self._tried_at = self._read_at = self._now()
        self._keeping = asyncio.create_task(restarted("the share ledger's client", self._keep))
        return self

    async def __aexit__(self, *_: object) -> None:
        """The last totals make credits for the canaries that go on."""
        try:
            await end(self._keeping)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace.last_report):
                    await self._report()
        finally:
            await self._ledger.close()

    @property
    def is_canary(self) -> bool:
        """True for a rejected version too: what fails there may have failed because of it."""
        return self._answer is not None and self._standing() is not Standing.FREE

    @property
    def is_on_trial(self) -> bool:
        return rules.is_on_trial(self._answer, self._who.revision, self._now())

    def is_stopped(self, epoch: int) -> bool:
        return rules.is_stopped(self._answer, self._who.revision, epoch)

    async def permit(self, wanted: int) -> _Free | _Credit:
        while True:
            if self._standing() is Standing.FREE:
                await self._yield()
                if self._standing() is Standing.FREE:
                    return _Free(self, wanted, rules.poll_s(self._answer, self._now()))
            # One slot at a time asks and backs off; whichever is next reads for itself.
            async with self._turn:
                if self._standing() is Standing.FREE:
                    continue  # since it began to wait
                answer = await self._read()
                if answer is not None and (given := self._give(answer, wanted)) is not None:
                    return given
                await self._back_off()

    def _give(self, answer: Answer, wanted: int) -> _Credit | None:
        # From reading to reserving nothing is awaited, so no two slots see the same credit.
        now = self._now()
        left = rules.credit(answer, self._who, claims=self.claims, reserved=self._reserved(), now=now)
        if not left:
            return None
        given = _Credit(self, min(left, wanted), answer.control.epoch)
        self._open[given] = now
        self._pauses.again()
        self._wake.set()
        return given

    async def _back_off(self) -> None:
        """Until it is time to ask again, or what was read meanwhile makes this version free or brings credits."""
        until, before = self._now() + self._pauses.next_s(), self._answer
        while not self._brought(before) and (left := until - self._now()) > 0:
            await _set(self._news, within=left)

    def _brought(self, before: Answer | None) -> bool:
        """Never by what was known before: a ledger that is away would be asked without a pause."""
        answer = self._answer
        if answer is None or answer is before:
            return False
        left = rules.credit(answer, self._who, claims=self.claims, reserved=self._reserved(), now=self._now())
        return left > 0 or self._standing() is Standing.FREE

    async def _yield(self) -> None:
        """Until the next turn of stable's, in two seconds at most, while a canary's poll gets nothing."""
        until = self._now() + rules.until_turn(self._wall())
        self._yielding += 1
        self._wake.set()
        try:
            while self._yields() and (left := until - self._now()) > 0:
                await _set(self._news, within=left)
        finally:
            self._yielding -= 1

    def _yields(self) -> bool:
        return rules.yields(self._answer, self._now(), stale_after=self._pace.yields)

    def _standing(self) -> Standing:
        return rules.standing(self._answer, self._who.revision)

    def _reserved(self) -> int:
        return sum(credit.messages for credit in self._open)

    # -- what polls come to --------------------------------------------------------------------------------------------

    def count(self, received: int) -> None:
        """Of polls without a credit."""
        if received:
            self.claims += received
            self._wake.set()

    async def spend(self, spent: _Credit, received: int) -> bool:
        """Of polls with one. What the ledger does not confirm is handed back."""
        kept = False
        try:
            if received:
                answer = await self._read()
                kept = answer is not None and rules.is_kept(
                    answer,
                    self._who,
                    epoch=spent.epoch,
                    claims=self.claims,
                    received=received,
                    now=self._now(),
                )
        finally:
            self._open.pop(spent, None)
            if kept:
                self.claims += received
            else:
                self.returned += received
            self._wake.set()
        return kept or not received

    # -- reporting and reading -----------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        while True:
            now = self._now()
            report, read = self._report_due(), self._read_due()
            if report <= now:
                await self._report()
            elif read <= now:
                await self._read()
            else:
                self._wake.clear()
                await _set(self._wake, within=min(report, read) - now)

    def _report_due(self) -> float:
        now = self._now()
        young = [at for at in self._open.values() if now - at < rules.LINGERS_S]
        return rules.report_due(
            self._reported, self._totals(), self._pace, lost=self._lost, tried_at=self._tried_at, opened=young
        )

    def _read_due(self) -> float:
        yielding = self._yielding > 0 and self._yields()
        return rules.read_due(self._answer, self._pace, yielding=yielding, tried_at=self._read_at)

    def _totals(self) -> Report:
        opened = ((at, credit.messages) for credit, at in self._open.items())
        return Report(self.claims, self.returned, rules.lingering(opened, self._now()), self._seq + 1)

    async def _report(self) -> None:
        report = self._totals()
        self._seq = report.seq
        self._tried_at = at = self._now()
        self._lost = True  # until it is answered: a report that is cancelled may have arrived or not
        try:
            control = await self._ledger.report(report)
        except LedgerError as problem:
            self._unreachable(problem)
            return
        self._lost, self._reported = False, report
        self._heard(control, at)

    async def _read(self) -> Answer | None:
        """None: the ledger has not said anything."""
        at = self._now()
        self._read_at = max(self._read_at, at)
        try:
            return self._heard(await self._ledger.read(), at)
        except LedgerError as problem:
            self._unreachable(problem)
            return None

    def _heard(self, control: Control, at: float) -> Answer:
        answer = Answer(control, at)
        self._read_at = max(self._read_at, at)
        if self._answer is None or at >= self._answer.at:  # one that was asked for earlier may come later
            before, self._answer = self._standing(), answer
            if self._standing() is not before:
                log.info("the share ledger names this version", extra={"fields": {"as": self._standing().value}})
            self._news.set()
            self._news = asyncio.Event()
        if not self._reachable:
            self._reachable = True
            log.info("the share ledger tells again who may take what")
        return answer

    def _unreachable(self, problem: LedgerError) -> None:
        if self._reachable:  # once per outage, not once per try
            self._reachable = False
            fields = {"why": str(problem), "as": self._standing().value}
            log.warning("the share ledger does not tell who may take what", extra={"fields": fields})


async def _set(event: asyncio.Event, *, within: float) -> None:
    # not wait_for: before Python 3.12 it loses a cancellation that comes together with the event
    with suppress(TimeoutError):
        async with asyncio.timeout(max(_TICK_S, within)):
            await event.wait()


class _Free:
    epoch = UNSTOPPED

    def __init__(self, share: Share, messages: int, wait_s: int | None) -> None:
        self.messages, self.wait_s = messages, wait_s
        self._share = share

    async def settle(self, received: int) -> bool:
        self._share.count(received)
        return True


class _Credit:
    wait_s = None

    def __init__(self, share: Share, messages: int, epoch: int) -> None:
        self.messages, self.epoch = messages, epoch
        self._share = share

    async def settle(self, received: int) -> bool:
        return await self._share.spend(self, received)
