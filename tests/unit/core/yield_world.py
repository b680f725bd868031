"""The queue world with slots that poll as they really do, and with `unused` as the allocator writes it.

A poll stays open until a message comes; a report goes out 0.6 s after a change; `unused` is a round old when it is
read. In `QueueWorld` all of that is known at once, which hides what yielding costs.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from controller.core.ledger import FRESH_S, Ledger, Pod, allocate, with_share

STEP_S = 0.05
_ROUND = 10
_LASTS_S = 10.0
_POLL_S = 20.0
_LINGERS_S = 0.1
_YIELDS_S = 2.0

Rule = Literal["never", "unspent", "waiting"]
"""What `unused` counts: nothing; credits that were granted before this round and are not reported as spent; of those,
the ones that a poll of the canary waits with."""


@dataclass
class Slot:
    polling: bool = False
    since: float = 0.0
    """When the poll began, or when it became free."""
    busy_until: float = 0.0


@dataclass
class Worker:
    name: str
    revision: str
    slots: list[Slot]
    job_s: float
    claims: int = 0
    reserved: int = 0
    reported: tuple[int, int] = (-1, 0)
    """Claims, and messages waited for."""
    reported_at: float = -9.0
    asks_at: float = 0.0
    back_off: float = 0.25


@dataclass
class YieldWorld:
    """`rate` of 0: a backlog that does not end. Three stable pods and a canary, with four slots each."""

    rule: Rule
    rate: float = 0.0
    share: float = 0.05
    prefers: str = ""
    canary_job_s: float = 0.2
    seed: int = 1
    now: float = 0.0
    queue: deque[float] = field(default_factory=deque)
    unused: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311 - a simulation
        jobs = {"s0": 0.2, "s1": 0.2, "s2": 0.2, "c0": self.canary_job_s}
        self.workers = [
            Worker(name, "v1" if name[0] == "s" else "v2", [Slot() for _ in range(4)], job_s)
            for name, job_s in jobs.items()
        ]
        self.ledger = with_share(Ledger(stable="v1"), "v2", self.share, {}, _LASTS_S)

    def claims(self, revision: str) -> int:
        return sum(worker.claims for worker in self.workers if worker.revision == revision)

    @property
    def missing(self) -> float:
        return self.share * (self.claims("v1") + self.claims("v2")) - self.claims("v2")

    def run(self, seconds: float) -> YieldWorld:
        owed = 0.0
        for step in range(round(seconds / STEP_S)):
            self.now = step * STEP_S
            owed += self.random.expovariate(1.0) * self.rate * STEP_S
            self.queue.extend([self.now] * (int(owed) if self.rate else 100 - len(self.queue)))
            owed -= int(owed)
            for worker in self.workers:
                self._report(worker)
            if step % _ROUND == 0:
                self._round()
            self._poll()
            assert self.missing >= -1e-9
        return self

    def _report(self, worker: Worker) -> None:
        waiting = 0
        if worker.revision == "v2":
            waiting = sum(slot.polling and self.now - slot.since >= _LINGERS_S for slot in worker.slots)
        totals = (worker.claims, waiting)
        if self.now - worker.reported_at >= (0.6 if totals != worker.reported else 2.0):
            worker.reported, worker.reported_at = totals, self.now

    def _round(self) -> None:
        before = self.ledger.granted
        pods = {worker.name: Pod(worker.revision, worker.reported[0], worker.reported_at) for worker in self.workers}
        self.ledger = allocate(self.ledger, pods, self.now, _LASTS_S)
        self.unused = 0
        for worker in self.workers:
            if worker.revision == "v2" and self.now - worker.reported_at <= FRESH_S:
                claims, waiting = worker.reported
                unspent = max(0, before.get(worker.name, 0) - claims)
                self.unused += {"never": 0, "unspent": unspent, "waiting": min(unspent, waiting)}[self.rule]

    def _poll(self) -> None:
        polls = []
        for worker in self.workers:
            for slot in worker.slots:
                self._begin(worker, slot)
                if slot.polling:
                    polls.append((worker, slot))
        self.random.shuffle(polls)
        if self.prefers:
            polls.sort(key=lambda poll: poll[0].revision != self.prefers)
        for worker, slot in polls[: len(self.queue)]:
            self.queue.popleft()
            self._end(worker, slot)
            worker.claims += 1
            slot.since = slot.busy_until = self.now + worker.job_s

    def _begin(self, worker: Worker, slot: Slot) -> None:
        if slot.polling and self.now - slot.since >= _POLL_S:
            self._end(worker, slot)
        if slot.polling or slot.busy_until > self.now:
            return
        if worker.revision == "v1":
            begins = not self.unused or self.now - slot.since >= _YIELDS_S
        else:
            begins = self._has_credit(worker)
            worker.reserved += begins
        if begins:
            slot.polling, slot.since = True, self.now

    def _has_credit(self, worker: Worker) -> bool:
        if self.now < worker.asks_at:
            return False
        if self.ledger.granted.get(worker.name, 0) - worker.claims - worker.reserved > 0:
            worker.back_off = 0.25
            return True
        worker.asks_at = self.now + worker.back_off * self.random.uniform(0.5, 1.0)
        worker.back_off = min(2.0, 2 * worker.back_off)
        return False

    def _end(self, worker: Worker, slot: Slot) -> None:
        slot.polling, slot.since = False, self.now
        if worker.revision == "v2":
            worker.reserved -= 1
