"""The queue world with slots that poll as they really do, and with `unused` as the allocator writes it.

A poll stays open until a message comes; a report goes out 0.6 s after a change; `unused` is a round old when it is
read. In `QueueWorld` all of that is known at once, which hides what yielding costs.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from controller.queue_share.ledger import LASTS_S, ROUND_S, Ledger, Pod, allocate, with_share
from controller.queue_share.starvation import UnusedCredits, after_round
from tests.share_reading import PACE, heard, may_claim, yields
from workloads.common.share_rules import SHORT_POLL_S, Answer, lingering

STEP_S = 0.05
_ROUND = round(ROUND_S / STEP_S)
SLOTS = 4
"""Of each pod."""
STABLE_JOB_S = 0.2
_POLL_S = 20.0
_ALL = 10**9

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
    back_off: float = PACE.back_off[0]


@dataclass
class YieldWorld:
    """`rate` of 0: a backlog that does not end. `pods`: of stable and of the canary."""

    rule: Rule
    rate: float = 0.0
    share: float = 0.05
    prefers: str = ""
    canary_job_s: float = STABLE_JOB_S
    pods: tuple[int, int] = (3, 1)
    astray: bool = False
    """The canary polls another queue, in which there is nothing."""
    seed: int = 1
    now: float = 0.0
    queue: deque[float] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311 - a simulation
        kinds = (("s", "v1", STABLE_JOB_S), ("c", "v2", self.canary_job_s))
        self.workers = [
            Worker(f"{letter}{number}", revision, [Slot() for _ in range(SLOTS)], job_s)
            for (letter, revision, job_s), pods in zip(kinds, self.pods, strict=True)
            for number in range(pods)
        ]
        self.unused = UnusedCredits()
        self.longest_unused_s = 0.0
        self.ledger = with_share(Ledger(stable="v1"), "v2", self.share, {}, LASTS_S)

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
            waiting = lingering(((slot.since, 1) for slot in worker.slots if slot.polling), self.now)
        totals = (worker.claims, waiting)
        if self.now - worker.reported_at >= (PACE.changed if totals != worker.reported else PACE.heartbeat):
            worker.reported, worker.reported_at = totals, self.now

    def _round(self) -> None:
        pods = {}
        for worker in self.workers:
            claims, waiting = worker.reported
            said = {"never": 0, "unspent": _ALL, "waiting": waiting}[self.rule]
            pods[worker.name] = Pod(worker.revision, claims, worker.reported_at, said)
        self.unused = after_round(self.unused, self.ledger, pods, self.now)
        self.longest_unused_s = max(self.longest_unused_s, self.unused.seconds)
        self.ledger = allocate(self.ledger, pods, self.now, LASTS_S)

    def _poll(self) -> None:
        polls = []
        answer = heard(self.ledger, self.now)
        for worker in self.workers:
            for slot in worker.slots:
                self._begin(worker, slot, answer)
                if slot.polling and not (self.astray and worker.revision == "v2"):
                    polls.append((worker, slot))
        self.random.shuffle(polls)
        if self.prefers:
            polls.sort(key=lambda poll: poll[0].revision != self.prefers)
        for worker, slot in polls[: len(self.queue)]:
            self.queue.popleft()
            self._end(worker, slot)
            worker.claims += 1
            slot.since = slot.busy_until = self.now + worker.job_s

    def _begin(self, worker: Worker, slot: Slot, answer: Answer) -> None:
        if slot.polling and self.now - slot.since >= (SHORT_POLL_S if worker.revision == "v1" else _POLL_S):
            self._end(worker, slot)
        if slot.polling or slot.busy_until > self.now:
            return
        if worker.revision == "v1":
            begins = not yields(answer)
        else:
            begins = self._has_credit(worker, answer)
            worker.reserved += begins
        if begins:
            slot.polling, slot.since = True, self.now

    def _has_credit(self, worker: Worker, answer: Answer) -> bool:
        if self.now < worker.asks_at:
            return False
        if may_claim(answer, worker.name, worker.revision, worker.claims, reserved=worker.reserved) > 0:
            worker.back_off = PACE.back_off[0]
            return True
        worker.asks_at = self.now + worker.back_off * self.random.uniform(0.5, 1.0)
        worker.back_off = min(PACE.back_off[1], 2 * worker.back_off)
        return False

    def _end(self, worker: Worker, slot: Slot) -> None:
        slot.polling, slot.since = False, self.now
        if worker.revision == "v2":
            worker.reserved -= 1
