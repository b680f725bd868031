"""Simulated releases, and the exact test over many of them at once.

Arrivals are Poisson, each unit goes to the canary by a coin, each is bad by a coin: a trace is an array of shape
(runs, looks, 4) with canary_bad, canary_total, stable_bad, stable_total. `convictions` is the test of
`controller/core/xgs.py` with the runs side by side in one array; that it gives the very looks of `pointsman replay` is
asserted by the benchmark and by a unit test.
"""

import numpy as np
from numpy.typing import NDArray

from controller.stats.counts import Counts, Look
from controller.stats.judge import Judge
from controller.stats.method import AnalysisPlan, MetricPlan
from controller.stats.spending import Spending

Traces = NDArray[np.int64]
Looks = NDArray[np.int64]
"""Shape (runs,): the look that convicted, from 1, or 0."""

_REACH = 9.0
_NEGLIGIBLE = 1e-17


def simulate(
    rng: np.random.Generator, *, runs: int, looks: int, units: float, share: float, base: float, lift: float
) -> Traces:
    totals = rng.poisson(units, (runs, looks))
    canary = rng.binomial(totals, share)
    stable = totals - canary
    return np.stack(
        (rng.binomial(canary, base * lift), canary, rng.binomial(stable, base), stable),
        axis=-1,
    )


def convictions(traces: Traces, spending: Spending, odds: float = 1.0) -> Looks:
    runs, looks, _ = traces.shape
    tests = Tests(runs, spending, odds)
    for look in range(1, looks + 1):
        tests.add(look, traces[:, look - 1])
        if not len(tests.alive):
            break
    return tests.found


class Tests:
    """Runs that have crossed leave the arrays, so a bad version costs little."""

    def __init__(self, runs: int, spending: Spending, odds: float) -> None:
        self.found: Looks = np.zeros(runs, dtype=np.int64)
        self.alive = np.arange(runs)
        self._spending, self._odds = spending, odds
        self._law = np.ones((runs, 1))
        self._low: Looks = np.zeros(runs, dtype=np.int64)
        self._bad: Looks = np.zeros(runs, dtype=np.int64)
        self._spent = np.zeros(runs)

    def add(self, look: int, everybody: Traces) -> None:
        """`everybody`: the look's counts of all runs, shape (runs, 4)."""
        seen = everybody[self.alive]
        tested = np.flatnonzero(seen[:, 0] + seen[:, 2])
        if not len(tested):
            return
        first, part = _laws(seen[tested], self._odds)
        grown = _convolved(self._law[tested], part)
        self._low[tested] += first
        self._bad[tested] += seen[tested, 0]
        budget = np.maximum(0.0, self._spending.until(look) - self._spent[tested])
        tails = np.cumsum(grown[:, ::-1], axis=1)[:, ::-1]
        cut = (tails > budget[:, None]).sum(axis=1)
        crossed = self._bad[tested] - self._low[tested] >= cut
        width = grown.shape[1]
        padded = np.concatenate((tails, np.zeros((len(tested), 1))), axis=1)
        self._spent[tested] += padded[np.arange(len(tested)), np.minimum(cut, width)]
        grown[np.arange(width)[None, :] >= cut[:, None]] = 0.0
        self._law = _put(self._law, tested, grown)
        self.found[self.alive[tested[crossed]]] = look
        if crossed.any():
            stay = np.ones(len(self.alive), dtype=bool)
            stay[tested[crossed]] = False
            self.alive, self._law, self._low = self.alive[stay], self._law[stay], self._low[stay]
            self._bad, self._spent = self._bad[stay], self._spent[stay]
        if len(self.alive):
            self._law, self._low = _trimmed(self._law, self._low)


def following(
    rng: np.random.Generator,
    *,
    runs: int,
    units: float,
    rates: NDArray[np.float64],
    shares: NDArray[np.float64],
    spending: Spending,
) -> Looks:
    """Good versions whose weight goes on, from look to look, once they are proven no worse (odds 1.5, 5 %).

    `rates`: of both versions, one for each look; `shares`: one for each step.
    """
    rollback = Tests(runs, spending, 1.0)
    proof = Tests(runs, Spending(0.05, spending.horizon), 1 / 1.5)
    step = np.zeros(runs, dtype=np.int64)
    for look, rate in enumerate(rates, start=1):
        totals = rng.poisson(units, runs)
        canary = rng.binomial(totals, shares[step])
        stable = totals - canary
        seen = np.stack((rng.binomial(canary, rate), canary, rng.binomial(stable, rate), stable), axis=-1)
        rollback.add(look, seen)
        # few bad units on the canary are many on stable: the lower test is the upper one of the other side
        proof.add(look, seen[:, [2, 3, 0, 1]])
        step = np.where(proof.found > 0, np.minimum(step + 1, len(shares) - 1), step)
    return rollback.found


def clients(
    rng: np.random.Generator, *, runs: int, looks: int, clients: float, share: float, base: float, requests: float
) -> Traces:
    """Sticky routing of a good version. A client in trouble fails many of its requests; it is counted once."""
    totals = rng.poisson(clients, (runs, looks))
    canary = rng.binomial(totals, share)
    both = canary, totals - canary
    # troubled clients, of whom those count that sent a request at all in the look
    bad = [rng.binomial(rng.binomial(side, base), 1 - np.exp(-requests)) for side in both]
    return np.stack((bad[0], both[0], bad[1], both[1]), axis=-1)


def slower(
    rng: np.random.Generator,
    *,
    runs: int,
    looks: int,
    units: float,
    share: float,
    stable: NDArray[np.float64],
    canary: NDArray[np.float64],
) -> list[Traces]:
    """One trace for each threshold, of the same units. `stable`, `canary`: the share of units slower than each
    threshold, which rise.
    """
    totals = rng.poisson(units, (runs, looks))
    split = rng.binomial(totals, share)
    sides = [
        _beyond(rng, count, tails)
        for count, tails in ((split, np.asarray(canary)), (totals - split, np.asarray(stable)))
    ]
    return [
        np.stack((sides[0][..., edge], split, sides[1][..., edge], totals - split), axis=-1)
        for edge in range(len(stable))
    ]


def _beyond(rng: np.random.Generator, counts: Looks, tails: NDArray[np.float64]) -> Traces:
    """Units slower than each threshold, shape (runs, looks, thresholds)."""
    bins = -np.diff(np.concatenate(([1.0], tails, [0.0])))
    return np.cumsum(rng.multinomial(counts, bins)[..., :0:-1], axis=-1)[..., ::-1]


def _laws(seen: Traces, odds: float) -> tuple[Looks, NDArray[np.float64]]:
    """Each run's law of the canary's bad units, shape (runs, width), and the count at which each row begins."""
    canary, stable = seen[:, 1], seen[:, 3]
    total = seen[:, 0] + seen[:, 2]
    lowest, highest = np.maximum(0, total - stable), np.minimum(canary, total)
    b = (canary + total + 2) * odds + stable - total
    c = (canary + 1.0) * (total + 1) * odds
    mode = np.floor(2 * c / (b + np.sqrt(b * b - 4 * (odds - 1) * c))).astype(np.int64)
    mode = np.clip(mode, lowest, highest)
    cells = np.stack((mode, total - mode, canary - mode, stable - total + mode)) + 0.5
    reach = int(_REACH * np.sqrt(1 / (1 / cells).sum(axis=0)).max()) + 12
    first = np.maximum(lowest, mode - reach)
    width = int((np.minimum(highest, mode + reach) - first).max()) + 1
    k = first[:, None] + np.arange(width - 1)[None, :]
    numerator = odds * np.maximum(canary[:, None] - k, 0) * np.maximum(total[:, None] - k, 0)
    denominator = (k + 1.0) * np.maximum(stable[:, None] - total[:, None] + k + 1, 1)
    with np.errstate(divide="ignore"):
        logs = np.log(numerator / denominator)
    power = np.zeros((len(seen), width))
    np.cumsum(logs, axis=1, out=power[:, 1:])
    power -= power.max(axis=1, keepdims=True)
    p = np.exp(power)
    return first, p / p.sum(axis=1, keepdims=True)


def _convolved(law: NDArray[np.float64], part: NDArray[np.float64]) -> NDArray[np.float64]:
    """Row by row; the loop goes over the narrower one."""
    wide, narrow = (law, part) if law.shape[1] >= part.shape[1] else (part, law)
    grown = np.zeros((len(law), law.shape[1] + part.shape[1] - 1))
    for shift in range(narrow.shape[1]):
        grown[:, shift : shift + wide.shape[1]] += narrow[:, shift, None] * wide
    return grown


def _put(law: NDArray[np.float64], rows: Looks, grown: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(rows) == len(law):
        return grown
    width = max(law.shape[1], grown.shape[1])
    wider = np.zeros((len(law), width))
    wider[:, : law.shape[1]] = law
    wider[rows] = 0.0
    wider[rows, : grown.shape[1]] = grown
    return wider


def _trimmed(law: NDArray[np.float64], low: Looks) -> tuple[NDArray[np.float64], Looks]:
    """Each row without its negligible lower end, and all without the columns that are nobody's."""
    kept = law > _NEGLIGIBLE
    start = kept.argmax(axis=1)
    last = int((law.shape[1] - kept[:, ::-1].argmax(axis=1) - start).max())
    columns = np.minimum(start[:, None] + np.arange(last)[None, :], law.shape[1] - 1)
    inside = start[:, None] + np.arange(last)[None, :] < law.shape[1]
    return np.take_along_axis(law, columns, axis=1) * inside, low + start


def replayed(trace: Traces, plan: AnalysisPlan) -> int:
    """The operator's own code over one run, shape (looks, 4): the look that convicted, or 0."""
    judge = Judge(plan)
    name = plan.metrics[0].name
    for number, row in enumerate(trace, start=1):
        judge.add(Look(number, number, number + 1, 0.0, {name: Counts(*map(int, row))}))
        if judge.evidence().regression is not None:
            return number
    return 0


def textbook(alpha: float = 0.01, looks: int | None = 60, odds: float = 1.0) -> AnalysisPlan:
    """One metric, the whole budget, no guards."""
    return AnalysisPlan(alpha, 0, (MetricPlan("errors", odds),), looks)
