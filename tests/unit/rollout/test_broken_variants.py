"""Negative controls: what the test would do with a protection taken out. Each variant breaks the promise of 5 %."""

import numpy as np
import pytest

from controller.stats.counts import NOTHING, Counts, Look
from controller.stats.judge import Judge
from controller.stats.method import AnalysisPlan, MetricPlan
from controller.stats.spending import Spending
from controller.stats.xgs import UpperTail

ALPHA, LOOKS, RUNS = 0.05, 30, 150
CLEARLY_MORE = 0.12
"""Of 150 runs, more than 18 false rollbacks have a chance below 0.1 % under the promise of 5 %."""


def convicted(looks: list[Counts], odds: float = 1.0) -> bool:
    test = UpperTail(odds, Spending(ALPHA, LOOKS))
    return any(test.add(number, counts).crossed for number, counts in enumerate(looks, start=1))


def pooled(looks: list[Counts]) -> bool:
    """As if all looks were one table: a test of running totals."""
    total = NOTHING
    for counts in looks:
        total += counts
    return convicted([total])


def drifting(rng) -> list[Counts]:
    """A good version: the weight goes 5, 20, 50 % while the rates of both rise from 0.3 to 2 %."""
    looks = []
    for look in range(LOOKS):
        share, rate = (0.05, 0.2, 0.5)[3 * look // LOOKS], 0.003 + 0.017 * look / LOOKS
        canary = int(3000 * share)
        looks.append(
            Counts(int(rng.binomial(canary, rate)), canary, int(rng.binomial(3000 - canary, rate)), 3000 - canary)
        )
    return looks


def share_of(runs: int, convicts) -> float:
    return sum(bool(convicts()) for _ in range(runs)) / runs


def test_pooled_over_weight_steps_a_drift_convicts_good_versions():
    rng = np.random.default_rng(31)
    assert share_of(RUNS, lambda: pooled(drifting(rng))) > CLEARLY_MORE
    assert share_of(RUNS, lambda: convicted(drifting(rng))) <= ALPHA + 0.04


def sticky(rng, *, by: str) -> list[Counts]:
    """A good version behind sticky routing: 2 % of the clients are broken ones, whose every request fails."""
    looks = []
    for _ in range(LOOKS):
        clients = rng.binomial((20, 380), 1.0)
        broken = [int(rng.binomial(count, 0.02)) for count in clients]
        requests = 20 if by == "requests" else 1
        looks.append(
            Counts(broken[0] * requests, int(clients[0]) * requests, broken[1] * requests, int(clients[1]) * requests)
        )
    return looks


def test_requests_counted_under_sticky_clients_convict_good_versions():
    rng = np.random.default_rng(32)
    assert share_of(RUNS, lambda: convicted(sticky(rng, by="requests"))) > CLEARLY_MORE
    assert share_of(RUNS, lambda: convicted(sticky(rng, by="clients"))) <= ALPHA + 0.04


class Forgetting(UpperTail):
    """A guard that forgets: what it holds back is cut off like any other tail, and tested again on what is left."""

    def __init__(self, odds: float, spending: Spending, least: int) -> None:
        super().__init__(odds, spending)
        self.least, self.convicts = least, False

    def add(self, look: int, counts: Counts, opened: int | None = None):
        standing = super().add(look, counts, opened)
        if standing.crossed and self._bad >= self.least:
            self.convicts = True
        elif standing.crossed:
            self._crossed = False
            cut = standing.boundary - self._bad + self._at - self._low if standing.boundary is not None else 0
            self._law = self._law[: max(1, cut)]
        return standing


def test_a_guard_that_forgets_lets_a_bad_version_through_or_convicts_on_a_law_that_is_not_its_own():
    """Four bad of four units cross the boundary, one too few to act on. The next bad one has to be enough."""
    first = Counts(4, 4, 0, 996)
    rest = [Counts(0, 50, 1, 950), Counts(1, 50, 1, 950)]
    judge = Judge(AnalysisPlan(0.01, 5, (MetricPlan("errors", 1.1),)))
    for number, counts in enumerate((first, *rest), start=1):
        judge.add(Look(number, 0, 0, 5, {"errors": counts}))
    assert judge.evidence().regression is not None
    # S lies beyond the law that is left, so its tail has no mass at all: "p = 0", whatever comes next
    forgetting = Forgetting(1.1, Spending(0.01), least=5)
    forgetting.add(1, first)
    standing = forgetting.add(2, Counts(0, 50, 1, 950))
    assert standing.p <= 1e-18, "a canary that did nothing bad in this look looks impossible"


@pytest.mark.parametrize("seed", range(4))
def test_weights_that_follow_the_evidence_keep_the_promise(seed):
    """Steps go on when the canary is proven no worse, while rates drift: the schedule depends on the data."""
    rng = np.random.default_rng(seed)
    plan = AnalysisPlan(ALPHA, 0, (MetricPlan("errors", 1.0, 1.5),))

    def convicts() -> bool:
        judge, step = Judge(plan), 0
        drift = rng.uniform(0.2, 5)
        for look in range(LOOKS):
            share, rate = (0.05, 0.2, 0.5)[step], 0.01 * drift ** (look / LOOKS)
            canary = int(rng.binomial(2000, share))
            bad = rng.binomial((canary, 2000 - canary), rate)
            judge.add(Look(look + 1, 0, 0, 0, {"errors": Counts(int(bad[0]), canary, int(bad[1]), 2000 - canary)}))
            if judge.evidence().regression is not None:
                return True
            recent = bad[0] / max(1, canary) < rate
            step = min(2, step + int(judge.evidence().proven or (recent and look % 5 == 4)))
        return False

    assert share_of(RUNS // 2, convicts) <= ALPHA + 0.06
