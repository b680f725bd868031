"""False rollbacks, detection and cost of the exact test, on simulated releases.

Each cell is 10,000 releases of 60 looks of 10 s under Poisson arrivals and a binomial split, judged at ψ = 1 with the
whole 1 % on one metric, the horizon known, and no guards. The naive rules see the same traces. Limits are
Clopper-Pearson's, one-sided 95 %. Seeds are fixed.
"""

import statistics
import time
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, mannwhitneyu, norm  # type: ignore[attr-defined]

from controller.stats.counts import Counts, Look
from controller.stats.judge import Judge
from controller.stats.method import AnalysisPlan, MetricPlan
from controller.stats.spending import Spending
from controller.stats.thresholds import SLOWER
from controller.stats.xgs import UpperTail
from tests.bench.report import Report, Target
from tests.bench.simulation import Looks, Traces, clients, convictions, following, replayed, simulate, slower, textbook
from tests.bench.world import say

RUNS, SMALL_RUNS = 10_000, 50
"""Releases a cell."""
LOOKS, LOOK_S, ALPHA, CHUNK = 60, 10, 0.01, 500
REPEATS, LOOKS_OF_A_LARGE_SITE = 7, 1000
"""Of the measurements of cost; before a look of a large site is timed."""
SMALL_REPEATS, SMALL_LOOKS_OF_A_LARGE_SITE = 1, 50
NULL = [(base, share, rate) for base in (0.1, 1.0) for share in (5, 20, 50) for rate in (50, 500)]
"""Percent, percent, requests/s."""
DETECTION = [
    (0.1, 2, 5, 500, 70, 41),
    (0.1, 2, 20, 500, 98, 16),
    (0.1, 5, 5, 50, 70, 40),
    (0.1, 5, 20, 50, 98, 17),
    (0.1, 5, 5, 500, 98, 7),
    (1, 1.5, 5, 500, 98, 18),
    (1, 1.5, 20, 50, 66, 45),
    (1, 2, 5, 50, 71, 41),
    (1, 2, 20, 50, 98, 16),
    (1, 2, 5, 500, 98, 7),
    (1, 5, 5, 50, 98, 7),
    (1, 5, 50, 500, 98, 2),
]
"""Base rate in percent, lift, share in percent, requests/s; detected at least, in percent; median look at most,
where a release in which nothing was detected counts as one look more than there are."""
REPLAYED = 1000
Flags = NDArray[np.bool_]
"""Shape (runs,)."""
DRIFT = ((0.05, 20), (0.2, 20), (0.5, 20))


async def run(*, small: bool = False) -> Report:
    figures: dict[str, float] = {}
    targets: dict[str, Target] = {}
    notes: list[str] = []
    releases = SMALL_RUNS if small else RUNS
    say(f"{releases} releases a cell: good versions")
    _false(releases, figures, targets, notes)
    _drift(releases, figures, targets)
    _following(releases, figures, targets)
    _clustered(releases, figures, targets)
    say("bad versions")
    _detected(releases, figures, targets)
    say("latency")
    _latency(releases, figures, targets)
    say("the operator's own code on the same traces, and what it costs")
    if small:
        targets.clear()  # so few releases say nothing of a promise about one in a hundred
    figures["replayed_otherwise"] = _replayed_otherwise(100 if small else REPLAYED)
    targets["replayed_otherwise"] = ("<=", 0)
    figures["us_per_metric_look"] = _us_per_metric_look(SMALL_REPEATS if small else REPEATS)
    looks = SMALL_LOOKS_OF_A_LARGE_SITE if small else LOOKS_OF_A_LARGE_SITE
    figures["ms_per_look_of_100000_bad_units"] = _ms_at_a_large_site(looks)
    if not small:
        targets["us_per_metric_look"] = ("<=", 100)
        targets["ms_per_look_of_100000_bad_units"] = ("<=", 1)
    return Report("decision", figures, targets, notes)


def _traces(name: str, releases: int, *, share: int, rate: int, base: float, lift: float) -> list[Traces]:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return [
        simulate(
            rng,
            runs=min(CHUNK, releases - start),
            looks=LOOKS,
            units=rate * LOOK_S,
            share=share / 100,
            base=base / 100,
            lift=lift,
        )
        for start in range(0, releases, CHUNK)
    ]


def _convictions(traces: list[Traces]) -> Looks:
    return np.concatenate([convictions(chunk, Spending(ALPHA, LOOKS)) for chunk in traces])


def _upper_percent(found: int, runs: int) -> float:
    return 100 * float(beta.ppf(0.95, found + 1, runs - found)) if found < runs else 100.0


# -- good versions -------------------------------------------------------------------------------------------------


def _false(releases: int, figures: dict[str, float], targets: dict[str, Target], notes: list[str]) -> None:
    naive: dict[str, list[float]] = {name: [] for name in NAIVE}
    found = 0
    for base, share, rate in NULL:
        cell = f"{base:g}_{share}_{rate}"
        traces = _traces(f"null {cell}", releases, share=share, rate=rate, base=base, lift=1)
        convicted = int((_convictions(traces) > 0).sum())
        found += convicted
        figures[f"false_percent_{cell}"] = 100 * convicted / releases
        figures[f"false_percent_upper_{cell}"] = _upper_percent(convicted, releases)
        targets[f"false_percent_upper_{cell}"] = ("<=", 1.4)
        for name, rule in NAIVE.items():
            naive[name].append(100 * float(np.mean(np.concatenate([rule(chunk) for chunk in traces]))))
    figures["false_percent_pooled"] = 100 * found / (releases * len(NULL))
    targets["false_percent_pooled"] = ("<=", 1.1)
    for name, percents in naive.items():
        figures[f"naive_{name}_false_percent"] = statistics.fmean(percents)
        figures[f"naive_{name}_false_percent_worst"] = max(percents)
    notes.append("naive rules, on the traces of the same good versions:")
    notes.extend(f"{name}: {rule.__doc__}" for name, rule in NAIVE.items())


def _repeated_z(traces: Traces) -> Flags:
    """After each look, on all counts so far, a pooled z-test at 1 %, one-sided; one hit is enough."""
    xc, nc, xs, ns = np.moveaxis(np.cumsum(traces, axis=1), -1, 0).astype(float)
    pooled = (xc + xs) / np.maximum(nc + ns, 1)
    error = np.sqrt(pooled * (1 - pooled) * (1 / np.maximum(nc, 1) + 1 / np.maximum(ns, 1)))
    z = (xc / np.maximum(nc, 1) - xs / np.maximum(ns, 1)) / np.where(error > 0, error, np.inf)
    return np.asarray((z > 2.326).any(axis=1))


def _twice_three_times(traces: Traces) -> Flags:
    """The canary's error rate in a look is more than twice stable's, three looks in a row."""
    xc, nc, xs, ns = np.moveaxis(traces, -1, 0)
    over = (xc * ns > 2 * xs * nc) & (xc > 0)
    return np.asarray((over[:, 2:] & over[:, 1:-1] & over[:, :-2]).any(axis=1))


def _accumulated(traces: Traces) -> Flags:
    """The canary's error rate in a look is above 1 %, five times in all (failures accumulate)."""
    return np.asarray((traces[..., 0] > 0.01 * traces[..., 1]).sum(axis=1) >= 5)


def _mann_whitney(traces: Traces) -> Flags:
    """One Mann-Whitney test at 1 %, one-sided, on the error rates of the looks, at the end."""
    xc, nc, xs, ns = np.moveaxis(traces, -1, 0)
    rates = xc / np.maximum(nc, 1), xs / np.maximum(ns, 1)
    return np.asarray(mannwhitneyu(*rates, alternative="greater", axis=1, method="asymptotic").pvalue < 0.01)


NAIVE = {
    "repeated_z": _repeated_z,
    "twice_three_times": _twice_three_times,
    "accumulated_threshold": _accumulated,
    "mann_whitney": _mann_whitney,
}


def _drift(releases: int, figures: dict[str, float], targets: dict[str, Target]) -> None:
    """Weights 5, 20, 50 % while both versions' rates drift from 0.3 to 2 %."""
    rng = np.random.default_rng(20260501)
    shares = np.concatenate([np.full(looks, share) for share, looks in DRIFT])
    rates = np.linspace(0.003, 0.02, LOOKS)
    found = 0
    for start in range(0, releases, CHUNK):
        totals = rng.poisson(500, (min(CHUNK, releases - start), LOOKS))
        canary = rng.binomial(totals, shares)
        stable = totals - canary
        traces = np.stack((rng.binomial(canary, rates), canary, rng.binomial(stable, rates), stable), axis=-1)
        found += int((convictions(traces, Spending(ALPHA, LOOKS)) > 0).sum())
    figures["false_percent_drift"] = 100 * found / releases
    targets["false_percent_drift"] = ("<=", 1.2)


def _following(releases: int, figures: dict[str, float], targets: dict[str, Target]) -> None:
    """Weights 5, 20, 50 % that go on with each proof, with rates that stand still and with rates that drift."""
    shares = np.array([share for share, _ in DRIFT])
    for name, rates in (("still", np.full(LOOKS, 0.01)), ("drift", np.linspace(0.003, 0.02, LOOKS))):
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        found = 0
        for start in range(0, releases, CHUNK):
            runs = min(CHUNK, releases - start)
            looks = following(rng, runs=runs, units=500, rates=rates, shares=shares, spending=Spending(ALPHA, LOOKS))
            found += int((looks > 0).sum())
        figures[f"false_percent_following_{name}"] = 100 * found / releases
        targets[f"false_percent_following_{name}"] = ("<=", 1.2)


def _clustered(releases: int, figures: dict[str, float], targets: dict[str, Target]) -> None:
    """Errors in clusters, a client each, that are counted once."""
    rng = np.random.default_rng(20260505)
    found = 0
    for start in range(0, releases, CHUNK):
        runs = min(CHUNK, releases - start)
        traces = clients(rng, runs=runs, looks=LOOKS, clients=500, share=0.05, base=0.01, requests=20)
        found += int((convictions(traces, Spending(ALPHA, LOOKS)) > 0).sum())
    figures["false_percent_clustered"] = 100 * found / releases
    targets["false_percent_clustered"] = ("<=", 1.4)


# -- bad versions --------------------------------------------------------------------------------------------------


def _detected(releases: int, figures: dict[str, float], targets: dict[str, Target]) -> None:
    for base, lift, share, rate, least, most in DETECTION:
        cell = f"{base:g}_x{lift:g}_{share}_{rate}"
        looks = _convictions(_traces(f"detection {cell}", releases, share=share, rate=rate, base=base, lift=lift))
        found = looks[looks > 0]
        figures[f"detected_percent_{cell}"] = 100 * len(found) / releases
        targets[f"detected_percent_{cell}"] = (">=", least)
        figures[f"median_look_{cell}"] = float(np.median(np.where(looks > 0, looks, LOOKS + 1)))
        targets[f"median_look_{cell}"] = ("<=", most)


# -- latency -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Latency:
    """Lognormal with this spread (of the logarithm), times `by`; `slow` of the units take ten times as long."""

    by: float = 1.0
    slow: float = 0.0
    sigma: float = 0.6

    def beyond(self, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        """The share of units that take longer; the median of the quick ones is a second."""
        quick, slow = (norm.sf(np.log(seconds / (self.by * times)) / self.sigma) for times in (1, 10))
        return np.asarray((1 - self.slow) * quick + self.slow * slow)


LATENCIES = [  # at 5 % and 50 requests/s
    ("same", Latency(), Latency(), None),
    ("same_two_modes", Latency(slow=0.02), Latency(slow=0.02), None),
    ("all_10_percent_slower", Latency(), Latency(by=1.1), (94, 29)),
    ("all_30_percent_slower", Latency(), Latency(by=1.3), (98, 6)),
    ("slow_mode_2_to_6_percent", Latency(slow=0.02), Latency(slow=0.06), (98, 17)),
]
"""Stable, canary; detected at least, in percent, and the median look at most."""


def _latency(releases: int, figures: dict[str, float], targets: dict[str, Target]) -> None:
    """At thresholds that are stable's quantiles (as core/thresholds.py has them), each with its part of α."""
    grid = np.geomspace(0.05, 500, 20_001)
    for name, stable, canary, wanted in LATENCIES:
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        edges = np.interp(-np.array(SLOWER), -stable.beyond(grid), grid)
        spending = Spending(ALPHA / len(edges), LOOKS)
        found = []
        for start in range(0, releases, CHUNK):
            traces = slower(
                rng,
                runs=min(CHUNK, releases - start),
                looks=LOOKS,
                units=50 * LOOK_S,
                share=0.05,
                stable=stable.beyond(edges),
                canary=canary.beyond(edges),
            )
            looks = np.stack([convictions(trace, spending) for trace in traces])
            found.append(np.where(looks > 0, looks, LOOKS + 1).min(axis=0))
        first = np.concatenate(found)
        percent = 100 * float(np.mean(first <= LOOKS))
        if wanted is None:
            figures[f"false_percent_latency_{name}"] = percent
            targets[f"false_percent_latency_{name}"] = ("<=", 1.0)
        else:
            figures[f"detected_percent_latency_{name}"] = percent
            targets[f"detected_percent_latency_{name}"] = (">=", wanted[0])
            figures[f"median_look_latency_{name}"] = float(np.median(first))
            targets[f"median_look_latency_{name}"] = ("<=", wanted[1])


# -- the batched test is the operator's, and what the operator's costs ---------------------------------------------


def _replayed_otherwise(traces_in_all: int) -> int:
    """Of random traces, how many the operator's own code judges at another look, or not at all."""
    rng = np.random.default_rng(20260502)
    otherwise, plan = 0, textbook(ALPHA, LOOKS)
    for _ in range(traces_in_all // 20):
        base, share, rate = NULL[rng.integers(len(NULL))]
        traces = simulate(
            rng,
            runs=20,
            looks=LOOKS,
            units=rate * LOOK_S,
            share=share / 100,
            base=base / 100,
            lift=float(rng.choice([1, 1.2, 1.5, 2, 5])),
        )
        batched = convictions(traces, Spending(ALPHA, LOOKS))
        otherwise += sum(replayed(trace, plan) != int(look) for trace, look in zip(traces, batched, strict=True))
    return otherwise


def _us_per_metric_look(repeats: int) -> float:
    """A judge of one metric with the tests for rollback and for promotion, neither of which comes to an end.

    The least of several medians: whatever else runs on the machine only ever adds to one.
    """
    return min(_median_us_of_a_look() for _ in range(repeats))


def _median_us_of_a_look() -> float:
    rng = np.random.default_rng(20260503)
    plan = AnalysisPlan(ALPHA, 5, (MetricPlan("errors", 1.1, 1.5),))
    took = []
    for _ in range(20):
        judge = Judge(plan)
        for row in simulate(rng, runs=1, looks=LOOKS, units=5000, share=0.05, base=0.01, lift=1.25)[0]:
            look = Look(judge.looks + 1, 0, 0, 5.0, {"errors": Counts(*map(int, row))})
            started = time.perf_counter()
            judge.add(look)
            took.append(time.perf_counter() - started)
    return 1e6 * statistics.median(took)


def _ms_at_a_large_site(before: int) -> float:
    rng = np.random.default_rng(20260504)
    worst = 0.0
    for share in (0.05, 0.5):
        test = UpperTail(1.1, Spending(ALPHA))
        took = []
        for number, row in enumerate(
            simulate(rng, runs=1, looks=before + 100, units=1_000_000, share=share, base=0.1, lift=1)[0], start=1
        ):
            counts = Counts(*map(int, row))
            started = time.perf_counter()
            test.add(number, counts)
            took.append(time.perf_counter() - started)
        worst = max(worst, statistics.median(took[before:]))
    return 1e3 * worst
