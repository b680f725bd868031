"""Margins with a slack: against exact expectations, simulation, and the ways a state can be lost."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.stats.counts import Counts, Look
from controller.stats.evidence import Verdict
from controller.stats.judge import Judge
from controller.stats.margins import MarginProof, MarginTest
from controller.stats.method import AnalysisPlan, MetricPlan, plan_from_raw, plan_to_raw

RATIO, SLACK, ALPHA = 1.1, 0.005, 0.05
HISTORY = Counts(0, 0, 10, 1000)
quick = settings(deadline=None, derandomize=True, max_examples=40)


def binomial(units: int, rate: float) -> list[float]:
    return [math.comb(units, k) * rate**k * (1 - rate) ** (units - k) for k in range(units + 1)]


def expectation(make, units: tuple[int, int], canary: float, stable: float) -> float:
    """Exactly, of e after one look that follows a history, over all outcomes of that look."""
    total = 0.0
    for xc, chance_c in enumerate(binomial(units[0], canary)):
        for xs, chance_s in enumerate(binomial(units[1], stable)):
            test = make()
            test.add(1, HISTORY)
            test.add(2, Counts(xc, units[0], xs, units[1]))
            total += chance_c * chance_s * math.exp(log_e_of(test))
    return total


def log_e_of(test) -> float:
    logs: list[float] = test.to_raw()["logs"]
    return max(logs) + math.log(sum(math.exp(log - max(logs)) for log in logs) / len(logs))


@pytest.mark.parametrize("stable", [0.0005, 0.01, 0.03, 0.2])
@pytest.mark.parametrize("inside", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("units", [(1, 10), (10, 10), (12, 3)])
def test_e_has_an_expectation_of_at_most_one_over_the_whole_null(stable, inside, units):
    edge = RATIO * stable + SLACK
    worst = expectation(lambda: MarginTest(RATIO, SLACK, ALPHA), units, edge * (1 - inside), stable)
    assert worst <= 1 + 1e-9
    proof = expectation(lambda: MarginProof(RATIO, SLACK, ALPHA), units, min(1.0, edge * (1 + inside)), stable)
    assert proof <= 1 + 1e-9


def simulate(test, rng, *, canary: float, stable: float, looks: int = 80, units=(100, 900)) -> int | None:
    for look in range(1, looks + 1):
        counts = Counts(int(rng.binomial(units[0], canary)), units[0], int(rng.binomial(units[1], stable)), units[1])
        if test.add(look, counts).crossed:
            return look
    return None


def test_a_canary_at_the_margin_is_convicted_at_most_as_often_as_promised():
    rng, runs = np.random.default_rng(3), 150
    edge = RATIO * 0.01 + SLACK
    found = sum(
        simulate(MarginTest(RATIO, SLACK, ALPHA), rng, canary=edge, stable=0.01) is not None for _ in range(runs)
    )
    assert found <= runs * ALPHA + 2.33 * math.sqrt(runs * ALPHA * (1 - ALPHA))


def test_a_canary_well_beyond_it_is_convicted_soon():
    rng = np.random.default_rng(4)
    taken = [simulate(MarginTest(RATIO, SLACK, 0.001), rng, canary=0.08, stable=0.01) for _ in range(60)]
    assert np.median([look or math.inf for look in taken]) <= 4


def test_without_any_error_on_stable_a_few_on_the_canary_are_let_pass():
    test = MarginTest(1.1, 0.01, 0.01)
    for look in range(1, 60):
        test.add(look, Counts(int(look % 4 == 0), 100, 0, 900))
    assert not test.standing.crossed


def test_a_good_canary_is_proven_and_one_at_the_margin_hardly_ever():
    rng = np.random.default_rng(5)
    good = [simulate(MarginProof(1.5, 0.005, 0.05), rng, canary=0.01, stable=0.01) for _ in range(40)]
    assert sum(look is not None for look in good) >= 36
    edge = 1.5 * 0.01 + 0.005
    bad = [simulate(MarginProof(1.5, 0.005, 0.05), rng, canary=edge, stable=0.01) for _ in range(200)]
    assert sum(look is not None for look in bad) <= 200 * 0.05 + 2.33 * math.sqrt(200 * 0.05 * 0.95)


rows = st.lists(
    st.tuples(st.integers(0, 8), st.integers(0, 60), st.integers(0, 8), st.integers(0, 300)), min_size=1, max_size=30
)


def resumed(make, state):
    test = make(RATIO, SLACK, ALPHA)
    test.restore(json.loads(json.dumps(state)))
    return test


@quick
@given(rows, st.integers(1, 40), st.integers(0, 5))
def test_the_boundary_is_where_it_decides(found, units, stable_bad):
    for make, further in ((MarginTest, -1), (MarginProof, 1)):
        test = make(RATIO, SLACK, ALPHA)
        for look, (xc, nc, xs, ns) in enumerate(found, start=1):
            test.add(look, Counts(min(xc, nc), nc, min(xs, ns), ns))
        if test.standing.crossed or not test.to_raw()["stable"][1]:
            continue
        state, before = test.to_raw(), test.standing.bad

        def crosses(canary_bad, make=make, state=state):
            return resumed(make, state).add(99, Counts(canary_bad, units, stable_bad, 300)).crossed

        boundary = resumed(make, state).add(99, Counts(0, units, stable_bad, 300)).boundary
        if boundary is None:
            assert not crosses(units if make is MarginTest else 0)
            continue
        at = boundary - before
        assert crosses(at)
        assert not 0 <= at + further <= units or not crosses(at + further)


@quick
@given(rows, st.integers(0, 30))
def test_a_state_that_was_written_goes_on_bit_for_bit(found, at):
    looks = [Counts(min(xc, nc), nc, min(xs, ns), ns) for xc, nc, xs, ns in found]
    for make in (MarginTest, MarginProof):
        whole, first, second = (make(RATIO, SLACK, ALPHA) for _ in range(3))
        for look, counts in enumerate(looks, start=1):
            whole.add(look, counts)
            if look <= at:
                first.add(look, counts)
        second.restore(json.loads(json.dumps(first.to_raw())))
        for look, counts in enumerate(looks, start=1):
            if look > at:
                second.add(look, counts)
        assert second.to_raw() == whole.to_raw()
        assert second.standing == whole.standing


SLACKED = AnalysisPlan(0.01, 5, (MetricPlan("errors", 1.1, 1.5, slack=0.005),))


def test_the_judge_uses_it_where_there_is_a_slack():
    bad, good = Judge(SLACKED), Judge(SLACKED)
    for number in range(1, 100):
        window = (5.0 * number, 5.0 * number + 5, 10.0)
        bad.add(Look(number, *window, {"errors": Counts(8, 100, 9, 900)}))
        good.add(Look(number, *window, {"errors": Counts(1, 100, 9, 900)}))
    assert bad.evidence().verdict is Verdict.REGRESSION
    assert good.evidence().verdict is Verdict.NO_WORSE
    assert good.evidence().metrics[0].bound() is None


def test_the_plan_keeps_it():
    assert plan_from_raw(json.loads(json.dumps(plan_to_raw(SLACKED)))) == SLACKED
