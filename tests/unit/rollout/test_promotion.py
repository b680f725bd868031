"""Promotion is evidence too: a step goes on when the canary is proven no worse, and says so when it is not."""

import numpy as np
import pytest

from controller.stats.counts import Counts, Look
from controller.stats.judge import Judge
from controller.stats.method import AnalysisPlan, MetricPlan
from controller.stats.spending import Spending
from controller.stats.upper_bound import MOST, upper_bound
from controller.stats.xgs import LowerTail
from tests.unit.rollout.language import analyze, approve, release, weight


def busy(world, *, per_look: int = 20_000, errors: float = 0.02):
    world.metrics.per_look = per_look
    for revision in ("v1", "v2"):
        world.regress(revision, errors)


def test_a_step_goes_on_as_soon_as_the_canary_is_proven_no_worse(world):
    steps = [weight(5, analyze("30s", "1h")), weight(50, analyze("30s", "1h"))]
    world.given(release(steps, promote_below=1.5).on("v2"))
    busy(world)
    world.until(lambda: world.release.step == 1, minutes=5)
    assert world.release.unproven == ()
    world.until(lambda: world.release.stable == "v2", minutes=10)
    assert world.release.judged == "Proven"


def test_at_least_has_passed_before_a_proof_counts(world):
    world.given(release([weight(50, analyze("5m", "1h"))], promote_below=1.5).on("v2"))
    busy(world)
    world.advance(minutes=4, seconds=45)
    assert (world.release.step, world.traffic.canary) == (0, 50)
    world.advance(seconds=30)
    assert world.release.step == 1 or world.release.stable == "v2"


def test_each_step_needs_units_of_its_own(world):
    steps = [weight(50, analyze("10s", "1h")), weight(60, analyze("0s", "1h"))]
    world.given(release(steps, promote_below=1.5, min_units=50_000).on("v2"))
    busy(world)
    world.until(lambda: world.release.step == 1, minutes=5)
    world.advance(seconds=10)
    assert world.release.step == 1, "proven by the first step, and not yet seen at this weight"
    world.until(lambda: world.release.stable == "v2", minutes=5)


def test_without_proof_the_release_waits_until_at_most_and_says_what_is_not_excluded(world):
    world.given(release([weight(5, analyze("30s", "2m"))], promote_below=1.5).on("v2"))
    busy(world, per_look=500, errors=0.04)
    world.advance(seconds=90)
    assert world.release.step == 0
    world.until(lambda: bool(world.release.unproven), minutes=2)
    said = world.release.unproven[0].message
    assert "continued unproven after 120 s" in said
    assert "not excluded: errors at most " in said
    assert said.endswith("times stable's, 95 %)")
    world.until(lambda: world.release.stable == "v2", minutes=5)
    assert world.release.judged == "Unproven"


def test_an_approval_does_not_become_a_proof_of_the_next_attempt(world):
    """The evidence of one attempt says nothing about the version that is asked for instead."""
    steps = [weight(50, analyze("0s", "1h")), approve()]
    world.given(release(steps, promote_below=1.5, min_units=0).on("v2"))
    busy(world)
    world.until(lambda: world.release.step == 1, minutes=5)
    world.regress("v3", 0.021)
    world.commit("v3")
    assert (world.release.canary, world.release.step) == ("v3", 0)


def test_one_metric_that_is_not_proven_keeps_the_step(world):
    plan = AnalysisPlan(0.01, 5, (MetricPlan("errors", 1.1, 1.5), MetricPlan("late", 1.1, 1.5)))
    judge = Judge(plan)
    judge.add(Look(1, 0, 5, 5, {"errors": Counts(50, 10_000, 100, 10_000), "late": Counts(1, 10_000, 1, 10_000)}))
    evidence = judge.evidence()
    assert not evidence.proven
    assert evidence.not_excluded().startswith("late")
    assert world is not None


@pytest.mark.parametrize("odds", [0.8, 1.0, 2.0])
def test_the_bound_is_the_lower_test_turned_round(odds):
    rng = np.random.default_rng(4)
    rows = [
        (look, Counts(int(rng.binomial(1000, 0.02 * odds)), 1000, int(rng.binomial(4000, 0.02)), 4000))
        for look in range(1, 31)
    ]
    spending = Spending(0.05)
    bound = upper_bound(rows, spending)
    assert bound is not None
    for ratio, rejects in ((bound, True), (bound / 1.02, False)):
        test = LowerTail(ratio, spending)
        assert any(test.add(look, counts).crossed for look, counts in rows) is rejects
    assert odds < bound < 1.6 * odds


def test_nothing_seen_bounds_nothing():
    assert upper_bound([], Spending(0.05)) is None
    assert upper_bound([(1, Counts(0, 10, 0, 10))], Spending(0.05)) is None
    assert (upper_bound([(1, Counts(0, 500, 400, 500))], Spending(0.05)) or MOST) < MOST
    judge = Judge(AnalysisPlan(0.01, 5, (MetricPlan("errors", 1.1, 1.5),)))
    assert judge.evidence().not_excluded() == "errors: 95 % upper bound on the ratio to stable's: none yet"


def test_a_version_at_the_margin_is_called_no_worse_at_most_as_often_as_allowed():
    """60 looks, the canary's odds exactly 1.5 times stable's, 5 %, and looks at every one of them."""
    rng = np.random.default_rng(9)
    stable = 0.1
    canary = 1.5 * stable / (1 - stable) / (1 + 1.5 * stable / (1 - stable))
    called = 0
    runs = 220
    for _ in range(runs):
        test = LowerTail(1.5, Spending(0.05))
        xc, xs = rng.binomial(100, canary, 60), rng.binomial(100, stable, 60)
        for look in range(60):
            if test.add(look + 1, Counts(int(xc[look]), 100, int(xs[look]), 100)).crossed:
                called += 1
                break
    assert 0 < called <= runs * (0.05 + 2.33 * (0.05 * 0.95 / runs) ** 0.5)
