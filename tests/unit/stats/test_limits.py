"""The limit of the canary's rate: against exact probabilities, and against causes that are not its own."""

import json
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.stats.counts import Counts, Look
from controller.stats.evidence import Verdict
from controller.stats.judge import Judge
from controller.stats.limits import LimitTest
from controller.stats.method import AnalysisPlan, MetricPlan
from tests.unit.rollout.language import analyze, release, weight

LIMIT, ALPHA = 0.02, 0.05
QUIET = Counts(0, 0, 0, 0)
quick = settings(deadline=None, derandomize=True, max_examples=40)


def canary(bad: int, units: int, stable_bad: int = 0, stable_units: int = 0) -> Counts:
    return Counts(bad, units, stable_bad, stable_units)


def crossing_chance(rate: float, units: int, looks: int) -> float:
    """Exactly: the law of all bad units so far on the paths that have not crossed, look by look.

    What e says after a look depends on the sums alone, so the boundary is the same for all paths.
    """
    one = np.array([math.comb(units, k) * rate**k * (1 - rate) ** (units - k) for k in range(units + 1)])
    law, lost = np.ones(1), 0.0
    for look in range(1, looks + 1):
        law = np.convolve(law, one)
        boundary = _boundary(units * look)
        lost += float(law[boundary:].sum())
        law = law[:boundary]
    return lost


def _boundary(units: int) -> int:
    """The fewest bad of all units that convict, from the formula of the specification alone."""

    def e(bad: int) -> float:
        return (
            sum(math.exp(bad * math.log(times) - units * LIMIT * (times - 1)) for times in (1.5, 2.0, 4.0, 8.0)) / 4.0
        )

    return next(bad for bad in range(units + 2) if bad > units or e(bad) >= 1 / ALPHA)


@pytest.mark.parametrize("units", [1, 5, 40])
def test_a_canary_at_the_limit_is_convicted_at_most_as_often_as_promised(units):
    chance = crossing_chance(LIMIT, units, looks=2000 // units)
    assert 0 < chance <= ALPHA


def test_the_boundary_is_that_of_the_formula():
    test, bad, units = LimitTest(LIMIT, ALPHA), 0, 0
    for look in range(1, 40):
        units += 25
        standing = test.add(look, canary(0, 25))
        expected = _boundary(units)
        assert standing.boundary == (expected if expected <= bad + 25 else None)
        assert not standing.crossed


@quick
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 60)), min_size=1, max_size=40))
def test_it_convicts_where_the_formula_does_and_never_forgets(rows):
    test, bad, units, crossed = LimitTest(LIMIT, ALPHA), 0, 0, False
    for look, (some, more) in enumerate(rows, start=1):
        here = min(some, more)
        bad, units = bad + here, units + more
        if more:
            crossed = crossed or bad >= _boundary(units)
        assert test.add(look, canary(here, more)).crossed == crossed
        assert test.standing.bad == bad


def test_a_canary_above_the_limit_is_convicted_soon():
    generator, taken = np.random.default_rng(5), []
    for _ in range(100):
        test = LimitTest(LIMIT, 0.001)
        look = next(
            look for look in range(1, 400) if test.add(look, canary(int(generator.binomial(50, 0.1)), 50)).crossed
        )
        taken.append(look)
    assert np.median(taken) <= 4


@quick
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40), st.integers(0, 5), st.integers(0, 200)), max_size=30),
    st.integers(0, 30),
)
def test_a_state_that_was_written_goes_on_bit_for_bit(rows, at):
    looks = [Counts(min(a, b), b, min(c, d), d) for a, b, c, d in rows]
    whole, first = LimitTest(LIMIT, ALPHA), LimitTest(LIMIT, ALPHA)
    for look, counts in enumerate(looks, start=1):
        whole.add(look, counts)
        if look <= at:
            first.add(look, counts)
    second = LimitTest(LIMIT, ALPHA)
    second.restore(json.loads(json.dumps(first.to_raw())))
    for look, counts in enumerate(looks, start=1):
        if look > at:
            second.add(look, counts)
    assert second.to_raw() == whole.to_raw()
    assert (second.standing, second.common_cause) == (whole.standing, whole.common_cause)


def test_what_breaks_stable_too_convicts_nobody_and_is_over_soon_after_its_end():
    generator = np.random.default_rng(11)
    convicted, over = 0, []
    for _ in range(200):
        test = LimitTest(LIMIT, ALPHA)
        for look in range(1, 61):
            rate = 0.1 if 20 <= look < 40 else 0.005
            counts = canary(int(generator.binomial(30, rate)), 30, int(generator.binomial(570, rate)), 570)
            test.add(look, counts)
            if look == 39:
                assert test.common_cause
            if look >= 40 and not test.common_cause:
                over.append(look)
                break
        convicted += test.standing.crossed
    assert convicted / 200 <= ALPHA
    assert len(over) == 200
    assert max(over) <= 42


def test_the_guard_against_common_causes_is_what_saves_the_canary(monkeypatch):
    monkeypatch.setattr("controller.stats.limits.LimitTest.add", _without_the_guard)
    generator, convicted = np.random.default_rng(11), 0
    for _ in range(50):
        test = LimitTest(LIMIT, ALPHA)
        for look in range(1, 41):
            rate = 0.1 if look >= 20 else 0.005
            test.add(look, canary(int(generator.binomial(30, rate)), 30, int(generator.binomial(570, rate)), 570))
        convicted += test.standing.crossed
    assert convicted > 40


_with_the_guard = LimitTest.add


def _without_the_guard(self, look, counts):
    return _with_the_guard(self, look, canary(counts.canary_bad, counts.canary_total))


def test_a_bad_canary_is_convicted_beside_a_stable_that_keeps_the_limit():
    test = LimitTest(LIMIT, ALPHA)
    for look in range(1, 20):
        test.add(look, canary(4, 30, 8, 570))
    assert test.standing.crossed
    assert not test.common_cause


LIMITED = AnalysisPlan(0.01, 5, (MetricPlan("errors", 1.1, 1.5), MetricPlan("floor", None, limit=LIMIT)))


def test_limits_have_a_tenth_of_the_budget_beside_compared_metrics_and_all_of_it_alone():
    errors, floor = LIMITED.metrics
    assert LIMITED.alpha_of(errors) == pytest.approx(0.009)
    assert LIMITED.alpha_of(floor) == pytest.approx(0.001)
    assert AnalysisPlan(0.01, 5, (floor,)).alpha_of(floor) == 0.01
    whole = AnalysisPlan(0.01, 5, (*LIMITED.metrics, MetricPlan("slow/0.3", 1.25), MetricPlan("slow/1", 1.25)))
    assert sum(whole.alpha_of(metric) for metric in whole.metrics) == pytest.approx(0.01)


def test_the_judge_holds_the_canary_to_it_and_says_so():
    judge = Judge(LIMITED)
    for number in range(1, 12):
        counts = canary(6, 60, 10, 1140)
        judge.add(Look(number, 5.0 * number, 5.0 * number + 5, 5.0, {"floor": counts}))
    guilty = judge.evidence().regression
    assert guilty is not None
    assert guilty.name == "floor"
    assert guilty.sentence().startswith("floor 66/660 limit 0.02 (p ")
    assert "where at most 2.00% are allowed" in guilty.explanation(11)


def test_few_bad_units_are_held_back_as_everywhere():
    judge = Judge(AnalysisPlan(0.05, 5, (MetricPlan("floor", None, limit=0.0001),)))
    judge.add(Look(1, 0.0, 5.0, 5.0, {"floor": canary(4, 10)}))
    (metric,) = judge.evidence().metrics
    assert (metric.verdict, metric.held_back) == (Verdict.UNDECIDED, True)


def test_a_limit_proves_nothing_and_stands_in_no_proofs_way():
    only = Judge(AnalysisPlan(0.01, 5, (MetricPlan("floor", None, limit=LIMIT),)))
    both = Judge(LIMITED)
    for number in range(1, 200):
        good = canary(1, 500, 9, 4500)
        look = Look(number, 5.0 * number, 5.0 * number + 5, 10.0, {"errors": good, "floor": good})
        only.add(look)
        both.add(look)
    assert not only.evidence().proven
    assert both.evidence().proven


def test_a_look_costs_little():
    test, counts = LimitTest(LIMIT, 0.001), canary(3, 10_000_000, 2, 10_000_000)
    began = time.process_time()
    for look in range(1, 201):
        test.add(look, counts)
    assert (time.process_time() - began) / 200 < 0.002


# -- in a release ----------------------------------------------------------------------------------------------------

STEPS = [weight(20, analyze("30s", "10m")), weight(50, analyze("30s", "10m"))]


def test_a_canary_above_its_limit_goes_back_and_the_limit_is_named(world):
    world.given(release(STEPS, metrics=(), limits={"floor": LIMIT}).on("v2"))
    world.regress("v1", 0.005)
    world.regress("v2", 0.1)
    world.until(lambda: world.release.phase in ("RollingBack", "RolledBack"), minutes=5)
    assert world.release.reason == "Regressed"
    assert "at most 2.00% are allowed" in world.release.message
    assert world.release.is_rejected("v2")


def test_what_breaks_stable_too_is_waited_for_and_nobody_is_rejected(world):
    world.given(release(STEPS, metrics=(), limits={"floor": LIMIT}).on("v2"))
    for revision in ("v1", "v2"):
        world.regress(revision, 0.1)
    world.advance(minutes=2)
    assert (world.release.phase, world.release.reason) == ("Waiting", "CommonCause")
    assert "so the canary is not blamed" in world.release.message
    assert (world.release.step, world.release.weight, world.release.rejected) == (0, 20, ())
    for revision in ("v1", "v2"):
        world.regress(revision, 0.001)
    world.until(lambda: world.release.stable == "v2", minutes=30)


def test_after_a_long_common_cause_the_work_is_stables_until_it_is_over(world):
    world.given(release(STEPS, metrics=(), limits={"floor": LIMIT}).on("v2"))
    for revision in ("v1", "v2"):
        world.regress(revision, 0.1)
    world.advance(minutes=20)
    assert (world.release.reason, world.traffic.canary, world.release.rejected) == ("CommonCause", 0, ())
