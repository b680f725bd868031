"""The gate of a shared queue, with a ledger that is written by the test and a clock that jumps."""

import asyncio
from contextlib import asynccontextmanager

import looptime

from workloads.common.share import Share
from workloads.common.share_ledger import Consumer, Control, LedgerError

CANARY = Consumer("shop/thumbnails", "c.1", "v2")
STABLE = Consumer("shop/thumbnails", "s.1", "v1")
IDLE = Control(version=1, stable="v1")
SHARED = Control(version=2, stable="v1", canary="v2", share=0.05, epoch=1, expires_in=10.0, granted={"c.1": 3})


def play(story):
    with asyncio.Runner(loop_factory=lambda: looptime.new_event_loop(start=0.0, noop_cycles=0)) as runner:
        return runner.run(story)


class PlayedLedger:
    """`control` is what it holds, None for nothing. `away`: it does not answer. `loses`: so many reports arrive without
    an answer.
    """

    def __init__(self, control):
        self.control = control
        self.away = False
        self.loses = 0
        self.takes_s = 0.0
        self.reports = []
        self.report_times = []
        self.reads = 0

    def _now(self):
        return asyncio.get_running_loop().time()

    async def report(self, report):
        self.report_times.append(self._now())
        await asyncio.sleep(self.takes_s)
        if self.away:
            raise LedgerError("away")
        self.reports.append(report)
        if self.loses:
            self.loses -= 1
            raise LedgerError("the answer is lost")
        return self._told(self.control)

    async def read(self):
        self.reads += 1
        found = self.control
        await asyncio.sleep(self.takes_s)
        if self.away:
            raise LedgerError("away")
        return self._told(found)

    def _told(self, control):
        if control is None:
            raise LedgerError("no control item")
        return control

    async def close(self):
        self.closed = True


@asynccontextmanager
async def share_of(who, control):
    ledger = PlayedLedger(control)
    async with Share(ledger, who, draw=lambda: 1.0, wall=asyncio.get_running_loop().time) as gate:
        yield gate, ledger
    assert ledger.closed


async def waits(gate, seconds=5.0, wanted=1):
    """Whether no permit comes within that time; a permit that comes is given back."""
    try:
        permit = await asyncio.wait_for(gate.permit(wanted), seconds)
    except TimeoutError:
        return True
    await permit.settle(0)
    return False


def took(before):
    return asyncio.get_running_loop().time() - before
