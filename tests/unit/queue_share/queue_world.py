"""A queue, its consumers and the share ledger between them, played in steps of a twentieth of a second.

Reports and rounds come every half second, each pod at its own moment. What the network may do to them is switched on
by name: answers that are lost, writes that arrive twice, two allocators, pods that stop or freeze.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np

from controller.queue_share.ledger import LASTS_S, Ledger, Pod, allocate, with_share
from tests.share_reading import heard, may_claim, yields

STEP_S = 0.05
EVERY = 10
"""Steps between two reports of a pod, and between two rounds."""


@dataclass
class Worker:
    """A pod: so many slots, and how long a job takes it."""

    name: str
    revision: str
    slots: int
    job_s: float
    phase: int
    claims: int = 0
    frozen: bool = False
    reported: Pod | None = None
    busy: list[float] = field(default_factory=list)
    polls: int = 0
    """Messages that were asked for and did not come."""

    def free(self, now: float) -> int:
        while self.busy and self.busy[0] <= now:
            heapq.heappop(self.busy)
        return self.slots - len(self.busy)

    def take(self, jobs: int, now: float) -> None:
        self.claims += jobs
        for _ in range(jobs):
            heapq.heappush(self.busy, now + self.job_s)


class QueueWorld:
    """`rate`: messages a second. `prefers`: whose open polls the broker serves first; nobody's when empty."""

    def __init__(self, workers: list[Worker], *, rate: float, share: float, prefers: str = "", seed: int = 1) -> None:
        self.random = np.random.default_rng(seed)
        self.workers = workers
        self.rate, self.prefers = rate, prefers
        self.backlog, self.step = 0, 0
        self.loses = 0.0
        """Share of reports and rounds that come to nothing."""
        self.doubles = 0.0
        """Share of reports that arrive again, later, and of rounds that two allocators begin at once."""
        self.allocator_runs = True
        self._late: list[tuple[int, Worker, Pod]] = []
        self.ledger = with_share(Ledger(stable="v1"), "v2", share, {}, LASTS_S)

    @property
    def now(self) -> float:
        return self.step * STEP_S

    def pods(self) -> dict[str, Pod]:
        return {worker.name: worker.reported for worker in self.workers if worker.reported is not None}

    def claims(self, revision: str) -> int:
        return sum(worker.claims for worker in self.workers if worker.revision == revision)

    def share(self) -> float:
        return self.claims("v2") / (self.claims("v1") + self.claims("v2"))

    def run(self, seconds: float) -> QueueWorld:
        for _ in range(round(seconds / STEP_S)):
            self.step += 1
            self.backlog += int(self.random.poisson(self.rate * STEP_S))
            self._report()
            if self.step % EVERY == 0 and self.allocator_runs:
                self._round()
            self._poll()
            self._hold()
        return self

    def _report(self) -> None:
        for due, worker, pod in self._late:
            # a SET with a sequence number: what is older than what is there is refused
            if due <= self.step and worker.reported is not None and pod.claims >= worker.reported.claims:
                worker.reported = pod
        self._late = [late for late in self._late if late[0] > self.step]
        for worker in self.workers:
            if (self.step + worker.phase) % EVERY or worker.frozen or self.random.random() < self.loses:
                continue
            worker.reported = Pod(worker.revision, worker.claims, self.now, worker.polls)
            if self.random.random() < self.doubles:
                self._late.append((self.step + 7, worker, worker.reported))

    def _round(self) -> None:
        read = self.ledger
        first = allocate(read, self.pods(), self.now, LASTS_S)
        if self.random.random() >= self.loses:
            self.ledger = first
        if self.random.random() < self.doubles:
            # another one has read the same, and writes after it: refused, because it is no longer what was read
            second = allocate(read, self.pods(), self.now, LASTS_S)
            if self.ledger is read:
                self.ledger = second

    def _poll(self) -> None:
        polls = []
        answer = heard(self.ledger, self.now)
        waits = yields(answer)
        for worker in self.workers:
            if worker.frozen:
                continue
            may = min(worker.free(self.now), may_claim(answer, worker.name, worker.revision, worker.claims))
            if worker.revision != "v1" or not waits:
                polls += [worker] * int(may)
        self.random.shuffle(polls)
        if self.prefers:
            polls.sort(key=lambda worker: worker.revision != self.prefers)
        for worker in self.workers:
            worker.polls = 0
        for worker in polls[: self.backlog]:
            worker.take(1, self.now)
        for worker in polls[self.backlog :]:
            worker.polls += 1
        self.backlog -= min(self.backlog, len(polls))

    def _hold(self) -> None:
        """What is promised at every moment."""
        canary, everything = self.claims("v2"), self.claims("v1") + self.claims("v2")
        assert canary <= self.ledger.share * everything + 1e-9 or self.ledger.share == 0, f"{canary} of {everything}"
